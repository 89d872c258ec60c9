"""The base of all drivers: it places arrays on devices and says what `compile` must do."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsched.models.layers.compiler_options import compiler_options

AXIS = "replicas"

# Takes what is the whole batch's along the leading axis and returns this replica's part of it.
TakeShard: TypeAlias = Callable[[jax.Array], jax.Array]


class Driver:
    """Runs a program on several devices, of one process or of several.

    A program is a function `(shard, *arguments) -> results`. `shard` takes what is the whole
    batch's along the leading axis and returns this replica's part of it, so that each example is
    computed on once. Arguments placed by `divide` are this replica's part already. Everything else
    is the same on every replica. Both drivers keep this contract and give the same results.

    Args:
        devices: the devices to use, those of each process together and as many of each.

    Attributes:
        axis_name: the mapped axis to reduce over by name; None where the compiler does it.
        num_processes: the number of processes that the devices belong to.
    """

    axis_name: str | None = None

    def __init__(self, devices: Sequence[Any]):
        self.devices = list(devices)
        self.num_processes = jax.process_count()
        self._num_local = len(self.devices) // self.num_processes
        self.mesh = Mesh(np.array(self.devices), (AXIS,))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.split = NamedSharding(self.mesh, PartitionSpec(AXIS))

    @property
    def num_shards(self) -> int:
        """The number of parts that a batch is divided into."""
        return len(self.devices)

    def replicate(self, tree: Any) -> Any:
        """Copies every array to every device; every process passes the same arrays."""

        def place(array: Any) -> jax.Array:
            return jax.make_array_from_process_local_data(self.replicated, np.asarray(array))

        return jax.tree.map(place, tree)

    def own_rows(self, size: int) -> slice:
        """Returns which rows of a batch the devices of this process work on."""
        rows = size // self.num_processes
        return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)

    def divide(self, rows: np.ndarray) -> jax.Array:
        """Divides a batch over all devices; this process passes its `own_rows`."""
        return jax.make_array_from_process_local_data(self.split, self._by_device(rows))

    def divided_like(self, shape: Sequence[int], dtype: Any) -> jax.ShapeDtypeStruct:
        """Returns the shape of a batch as `divide` places it, to compile for."""
        return jax.ShapeDtypeStruct(tuple(shape), dtype, sharding=self.split)

    def replicated_like(self, tree: Any) -> Any:
        """Returns these shapes as `replicate` places arrays, to compile for."""
        return like_with_sharding(tree, self.replicated)

    def _by_device(self, rows: np.ndarray) -> np.ndarray:
        """Returns this process's rows in the shape that the compiled program takes."""
        return rows

    def largest(self, values: np.ndarray) -> jax.Array | np.ndarray:
        """Returns the largest of each value over the processes, without waiting for them."""
        if self.num_processes == 1:
            return values
        rows = np.broadcast_to(values, (self._num_local, *values.shape))
        return self._largest(jax.make_array_from_process_local_data(self.split, rows))

    @cached_property
    def _largest(self) -> Callable[[jax.Array], jax.Array]:
        return jax.jit(lambda rows: rows.max(axis=0), out_shardings=self.replicated)

    def memory_of(self, compiled: Any) -> int:
        """Returns the bytes of each device that a compiled program takes while it runs."""
        # `PmapDriver.compile` returns a partial of the executable.
        found = getattr(compiled, "func", compiled).memory_analysis()
        kept = found.argument_size_in_bytes + found.output_size_in_bytes
        return kept - found.alias_size_in_bytes + found.temp_size_in_bytes

    def memory(self) -> int:
        """Returns the bytes that each device has; for a CPU, its share of the machine's memory."""
        stats = self._local_device().memory_stats()
        if stats is not None:
            return stats["bytes_limit"]
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return machine // self._num_local

    def peak_memory(self) -> int | None:
        """Returns the most bytes of a device in use so far; None for a CPU, which has no count."""
        stats = self._local_device().memory_stats()
        return None if stats is None else stats["peak_bytes_in_use"]

    def _local_device(self) -> Any:
        return next(d for d in self.devices if d.process_index == jax.process_index())

    def gather(self, tree: Any) -> Any:
        """Traced: returns the whole batch's rows, from this replica's part of them."""
        return tree

    def in_parts(self, tree: Any, count: int) -> Any:
        """Traced: cuts this replica's rows into parts, each of successive rows of each device.

        Args:
            tree: arrays [B, …].
            count: the number of parts.

        Returns:
            Arrays [count, B / count, …].
        """
        raise NotImplementedError

    def initialise(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Jits a function of host values that runs rarely: its results replicated, none shared.

        A state that starts on one device would cost the first update a second compilation, and
        one with shared buffers could not be donated. Compiled without optimisation: for drawing
        initial weights, optimising takes XLA several times longer than running it ever will.
        """
        options = {"xla_backend_optimization_level": 0}
        return jax.jit(function, out_shardings=self.replicated, compiler_options=options)

    def compile(
        self,
        program: Callable[..., Any],
        *arguments: Any,
        donate: Sequence[int] = (),
        split: Sequence[int] = (),
    ) -> Callable[..., Any]:
        """Compiles a program for arguments like these, ahead of time.

        Args:
            program: `(shard, *arguments) -> results`.
            *arguments: arrays placed by `replicate` or `divide`, or the shapes of either; NumPy
                scalars.
            donate: the positions of the arguments that the program may overwrite.
            split: the positions of the arguments that `divide` places.

        Returns:
            `(*arguments) -> results`; arguments of another shape are an error, not a compilation.
        """
        raise NotImplementedError

    @staticmethod
    def _compiled(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        """Compiles a program with the options that its layers want, whichever driver has it."""
        return lowered.compile(compiler_options())


def like_with_sharding(tree: Any, sharding: NamedSharding) -> Any:
    """Returns the shapes of these arrays with another placement."""

    def place(like: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(like.shape, like.dtype, sharding=sharding)

    return jax.tree.map(place, tree)
