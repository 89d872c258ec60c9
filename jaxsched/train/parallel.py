"""Devices: the only file that knows of meshes, `pmap` and shardings."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "replicas"

Shard: TypeAlias = Callable[[jax.Array], jax.Array]


class Driver:
    """How a program runs on several devices: every argument and result is a copy on each.

    A program is a function `(shard, *arguments) -> results`; `shard` takes what is the whole
    batch's along the leading axis and gives this replica's part of it, so that each example is
    worked on once. Everything else is the same on every replica. Both drivers keep this contract
    and give the same results.

    Args:
        devices: the devices to use.

    Attributes:
        axis_name: the mapped axis to reduce over by name; None where the compiler does it.
    """

    axis_name: str | None = None

    def __init__(self, devices: Sequence[Any]):
        self.devices = list(devices)
        self.mesh = Mesh(np.array(self.devices), (AXIS,))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.split = NamedSharding(self.mesh, PartitionSpec(AXIS))

    def replicate(self, tree: Any) -> Any:
        """A copy of every array on every device."""
        return jax.device_put(tree, self.replicated)

    def initialise(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Jits a function of host values that runs rarely: its results replicated, none shared.

        A state that starts on one device would cost the first update a second compilation, and
        one with shared buffers could not be donated. Compiled without optimisation: for the
        drawing of initial weights that takes XLA several times longer than running it ever will.
        """
        options = {"xla_backend_optimization_level": 0}
        return jax.jit(function, out_shardings=self.replicated, compiler_options=options)

    def compile(
        self, program: Callable[..., Any], *arguments: Any, donate: Sequence[int] = ()
    ) -> Callable[..., Any]:
        """Compiles a program for arguments like these, ahead of time.

        Args:
            program: `(shard, *arguments) -> results`.
            *arguments: arrays placed by `replicate`, or NumPy scalars.
            donate: which of them the program may overwrite.

        Returns:
            `(*arguments) -> results`; arguments of another shape are an error, not a compilation.
        """
        raise NotImplementedError


class JitDriver(Driver):
    """One program over a mesh: the compiler splits the batch and adds the reductions."""

    def compile(self, program, *arguments, donate=()):
        """See `Driver.compile`."""

        def shard(rows: jax.Array) -> jax.Array:
            return lax.with_sharding_constraint(rows, self.split)

        def whole(*arguments):
            return program(shard, *arguments)

        jitted = jax.jit(whole, donate_argnums=tuple(donate), out_shardings=self.replicated)
        return jitted.lower(*arguments).compile()


class PmapDriver(Driver):
    """One program a device, mapped over a named axis that the program reduces over itself."""

    axis_name = AXIS

    def compile(self, program, *arguments, donate=()):
        """See `Driver.compile`."""

        def replica(index, *arguments):
            def shard(rows: jax.Array) -> jax.Array:
                size = rows.shape[0] // len(self.devices)
                return lax.dynamic_slice_in_dim(rows, index * size, size)

            return program(shard, *arguments)

        mapped = jax.pmap(
            replica,
            axis_name=AXIS,
            in_axes=(0,) + (None,) * len(arguments),
            out_axes=None,
            devices=self.devices,
            donate_argnums=tuple(position + 1 for position in donate),
        )
        indices = jax.device_put(jnp.arange(len(self.devices)), self.split)
        compiled = mapped.lower(indices, *arguments).compile()
        return lambda *arguments: compiled(indices, *arguments)


DRIVERS = {"jit": JitDriver, "pmap": PmapDriver}


def make_driver(name: Literal["jit", "pmap"], num_devices: int | None = None) -> Driver:
    """The driver of this name over the first `num_devices` local devices, all by default.

    Raises:
        ValueError: when there are fewer devices.
    """
    devices = jax.local_devices()
    if num_devices is not None and not 1 <= num_devices <= len(devices):
        raise ValueError(
            f"num_devices must be within 1 … {len(devices)}, the local devices, got "
            f"num_devices={num_devices}."
        )
    return DRIVERS[name](devices[:num_devices])


def check_divisible(batch_sizes: Sequence[int], num_devices: int) -> None:
    """Raises `ValueError` unless every device gets the same number of examples."""
    for size in batch_sizes:
        if size % num_devices:
            below, above = size - size % num_devices, size - size % num_devices + num_devices
            raise ValueError(
                f"batch_size must divide by the number of devices, got batch_size={size}, "
                f"devices={num_devices}; use {f'{below} or ' if below else ''}{above}."
            )
