"""Devices and processes: the only file that knows of meshes, `pmap` and `jax.distributed`."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "replicas"
# A CPU's cores make better use of parts of a batch than of the whole, but a part of fewer pixels
# than 32 images of CIFAR costs more to add up than it gains (experiments/throughput.py).
_PIXELS_WORTH_A_CPU_DEVICE = 32 * 32 * 32
# Each has a copy of the data.
_MOST_CPU_DEVICES = 16

Shard: TypeAlias = Callable[[jax.Array], jax.Array]


class Driver:
    """How a program runs on several devices, of one process or of several.

    A program is a function `(shard, *arguments) -> results`; `shard` takes what is the whole
    batch's along the leading axis and gives this replica's part of it, so that each example is
    worked on once. Arguments placed by `divide` are this replica's part already. Everything else is
    the same on every replica. Both drivers keep this contract and give the same results.

    Args:
        devices: the devices to use, those of each process together and as many of each.

    Attributes:
        axis_name: the mapped axis to reduce over by name; None where the compiler does it.
        num_processes: how many processes the devices belong to.
    """

    axis_name: str | None = None

    def __init__(self, devices: Sequence[Any]):
        self.devices = list(devices)
        self.num_processes = jax.process_count()
        self._num_local = len(self.devices) // self.num_processes
        self.mesh = Mesh(np.array(self.devices), (AXIS,))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.split = NamedSharding(self.mesh, PartitionSpec(AXIS))

    def replicate(self, tree: Any) -> Any:
        """A copy of every array on every device; every process gives the same arrays."""

        def place(array: Any) -> jax.Array:
            return jax.make_array_from_process_local_data(self.replicated, np.asarray(array))

        return jax.tree.map(place, tree)

    def own_rows(self, size: int) -> slice:
        """Which rows of a batch the devices of this process work on."""
        rows = size // self.num_processes
        return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)

    def divide(self, rows: np.ndarray) -> jax.Array:
        """A batch over all devices, of which this process gives its `own_rows`."""
        return jax.make_array_from_process_local_data(self.split, self._by_device(rows))

    def divided_like(self, shape: Sequence[int], dtype: Any) -> jax.ShapeDtypeStruct:
        """A batch of this shape over all devices, to compile for."""
        return jax.ShapeDtypeStruct(tuple(shape), dtype, sharding=self.split)

    def replicated_like(self, tree: Any) -> Any:
        """These shapes on every device, to compile for."""
        return _like(tree, self.replicated)

    def _by_device(self, rows: np.ndarray) -> np.ndarray:
        """This process's rows as an argument has them."""
        return rows

    def largest(self, values: np.ndarray) -> jax.Array | np.ndarray:
        """The largest of each value over the processes, without waiting for them."""
        if self.num_processes == 1:
            return values
        rows = np.broadcast_to(values, (self._num_local, *values.shape))
        return self._largest(jax.make_array_from_process_local_data(self.split, rows))

    @cached_property
    def _largest(self) -> Callable[[jax.Array], jax.Array]:
        return jax.jit(lambda rows: rows.max(axis=0), out_shardings=self.replicated)

    def memory_of(self, compiled: Any) -> int:
        """Bytes of each device that a compiled program takes while it runs."""
        found = getattr(compiled, "func", compiled).memory_analysis()
        kept = found.argument_size_in_bytes + found.output_size_in_bytes
        return kept - found.alias_size_in_bytes + found.temp_size_in_bytes

    def memory(self) -> int:
        """Bytes that each device has; of a CPU, its share of the machine's memory."""
        stats = self._local_device().memory_stats()
        if stats is not None:
            return stats["bytes_limit"]
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return machine // self._num_local

    def peak_memory(self) -> int | None:
        """The most bytes of a device in use at a time; None of a CPU, which does not say."""
        stats = self._local_device().memory_stats()
        return None if stats is None else stats["peak_bytes_in_use"]

    def _local_device(self) -> Any:
        return next(d for d in self.devices if d.process_index == jax.process_index())

    def gather(self, tree: Any) -> Any:
        """In a program: the whole batch's rows, from this replica's part of them."""
        return tree

    def in_parts(self, tree: Any, count: int) -> Any:
        """In a program: this replica's rows in so many parts of successive rows of each device.

        Args:
            tree: arrays [B, …].
            count: of the parts.

        Returns:
            Arrays [count, B / count, …].
        """
        raise NotImplementedError

    def initialise(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Jits a function of host values that runs rarely: its results replicated, none shared.

        A state that starts on one device would cost the first update a second compilation, and
        one with shared buffers could not be donated. Compiled without optimisation: for the
        drawing of initial weights that takes XLA several times longer than running it ever will.
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
            *arguments: arrays placed by `replicate`, or what `divide` gives, or the shapes of
                either; NumPy scalars.
            donate: which of them the program may overwrite.
            split: which of them `divide` places.

        Returns:
            `(*arguments) -> results`; arguments of another shape are an error, not a compilation.
        """
        raise NotImplementedError


class JitDriver(Driver):
    """One program over a mesh: the compiler splits the batch and adds the reductions."""

    def compile(self, program, *arguments, donate=(), split=()):
        """See `Driver.compile`; how an argument is split is known from its placement."""

        def shard(rows: jax.Array) -> jax.Array:
            return lax.with_sharding_constraint(rows, self.split)

        def whole(*arguments):
            return program(shard, *arguments)

        jitted = jax.jit(whole, donate_argnums=tuple(donate), out_shardings=self.replicated)
        return jitted.lower(*arguments).compile()

    def in_parts(self, tree, count):
        """See `Driver.in_parts`; a part has rows of every device."""
        devices, split = len(self.devices), NamedSharding(self.mesh, PartitionSpec(None, AXIS))

        def parts(rows: jax.Array) -> jax.Array:
            by_device = rows.reshape(devices, count, -1, *rows.shape[1:])
            parts = by_device.swapaxes(0, 1).reshape(count, -1, *rows.shape[1:])
            return lax.with_sharding_constraint(parts, split)

        return jax.tree.map(parts, tree)


class PmapDriver(Driver):
    """One program a device, mapped over a named axis that the program reduces over itself."""

    axis_name = AXIS

    def _by_device(self, rows: np.ndarray) -> np.ndarray:
        """With an axis of devices, which `pmap` takes away."""
        return rows.reshape(self._num_local, -1, *rows.shape[1:])

    def divided_like(self, shape, dtype):
        """See `Driver.divided_like`."""
        devices = len(self.devices)
        return super().divided_like((devices, shape[0] // devices, *shape[1:]), dtype)

    def in_parts(self, tree, count):
        """See `Driver.in_parts`."""
        return jax.tree.map(lambda rows: rows.reshape(count, -1, *rows.shape[1:]), tree)

    def gather(self, tree):
        """See `Driver.gather`."""
        return jax.tree.map(lambda rows: lax.all_gather(rows, AXIS, tiled=True), tree)

    def compile(self, program, *arguments, donate=(), split=()):
        """See `Driver.compile`."""

        def replica(index, *arguments):
            def shard(rows: jax.Array) -> jax.Array:
                size = rows.shape[0] // len(self.devices)
                return lax.dynamic_slice_in_dim(rows, index * size, size)

            return program(shard, *arguments)

        mapped = jax.pmap(
            replica,
            axis_name=AXIS,
            in_axes=(0, *(0 if i in split else None for i in range(len(arguments)))),
            out_axes=None,
            devices=self.devices,
            donate_argnums=tuple(position + 1 for position in donate),
        )
        indices = jax.device_put(jnp.arange(len(self.devices)), self.split)
        if self.num_processes > 1:  # then pmap turns what it lowers for into global arrays
            arguments = jax.tree.map(self._zeros, arguments)
        return partial(mapped.lower(indices, *arguments).compile(), indices)

    def _zeros(self, like: Any) -> Any:
        """An array of this shape, placed as it is to be; what is no shape stays as it is."""
        if not isinstance(like, jax.ShapeDtypeStruct):
            return like
        own = like.sharding.shard_shape(like.shape)
        if like.sharding == self.split:
            own = (self._num_local, *own[1:])
        return jax.make_array_from_process_local_data(like.sharding, np.zeros(own, like.dtype))


class MembersDriver(Driver):
    """Programs of several runs at once, each of which is on one device as a whole.

    A program is that of one member: of the arguments in `split`, and of its results, it sees what
    is this member's. In the members' arrays the leading axis counts members.

    Args:
        devices: to spread the members over.
        per_device: members of each device, side by side by `vmap`.
    """

    def __init__(self, devices: Sequence[Any], per_device: int = 1):
        super().__init__(devices)
        self._per_device = per_device
        self.num_members = len(self.devices) * per_device

    def divided_like(self, shape, dtype):
        """One such array for each member, to compile for."""
        return super().divided_like((self.num_members, *shape), dtype)

    def members_like(self, tree: Any) -> Any:
        """These shapes, which have an axis of members, to compile for."""
        return _like(tree, self.split)

    def repeat(self, tree: Any) -> Any:
        """A copy of every array for each member."""

        def place(array: Any) -> jax.Array:
            rows = np.broadcast_to(array, (self.num_members, *np.shape(array)))
            return self.divide(rows)

        return jax.tree.map(place, tree)

    def initialise(self, function):
        """See `Driver.initialise`; an argument that has an axis has a row for each member."""

        def of_all(*arguments):
            axes = tuple(0 if jnp.ndim(argument) else None for argument in arguments)
            return jax.vmap(function, in_axes=axes)(*arguments)

        options = {"xla_backend_optimization_level": 0}
        return jax.jit(of_all, out_shardings=self.split, compiler_options=options)

    def compile(self, program, *arguments, donate=(), split=()):
        """See `Driver.compile`; `shard` gives the member's whole batch."""

        def of_device(*arguments):
            if self._per_device == 1:  # by vmap, a convolution would become one of groups
                alone = [_first(a) if i in split else a for i, a in enumerate(arguments)]
                return jax.tree.map(lambda array: array[None], program(_whole, *alone))
            axes = tuple(0 if i in split else None for i in range(len(arguments)))
            return jax.vmap(partial(program, _whole), in_axes=axes)(*arguments)

        each, all_ = PartitionSpec(AXIS), PartitionSpec()
        specs = tuple(each if i in split else all_ for i in range(len(arguments)))
        # No reduction crosses devices, so that nothing is lost by not checking for it.
        mapped = jax.shard_map(
            of_device,
            mesh=self.mesh,
            in_specs=specs,
            out_specs=each,
            check_vma=False,
        )
        jitted = jax.jit(mapped, donate_argnums=tuple(donate))
        return jitted.lower(*arguments).compile()


def _like(tree: Any, sharding: NamedSharding) -> Any:
    """These shapes, placed so."""

    def place(like: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(like.shape, like.dtype, sharding=sharding)

    return jax.tree.map(place, tree)


def _whole(rows: jax.Array) -> jax.Array:
    """A replica's part of a batch, where it has all of it."""
    return rows


def _first(tree: Any) -> Any:
    """The one row of every array."""
    return jax.tree.map(lambda array: array[0], tree)


DRIVERS = {"jit": JitDriver, "pmap": PmapDriver}


def make_driver(
    name: Literal["jit", "pmap"],
    num_devices: int | None = None,
    *,
    batch_sizes: Sequence[int] = (),
    pixels: int = 1,
    fits: Callable[[int], bool] = lambda num_devices: True,
    device: Any = None,
) -> Driver:
    """The driver of this name over the first `num_devices` devices of each process.

    By default all of them; the virtual devices of a CPU only where that is faster.

    Args:
        name: of the driver.
        num_devices: of each process; None for the default.
        batch_sizes: that will be split over the devices.
        pixels: of an image.
        fits: whether batches can be taken by so many devices of all processes.
        device: the one to use instead of the first, for a run that takes one.

    Raises:
        ValueError: when there are fewer devices.
    """
    available, processes = jax.local_device_count(), jax.process_count()
    if num_devices is None and jax.default_backend() == "cpu":
        rows = [size // processes for size in batch_sizes]
        worthwhile = min(rows, default=1) * pixels // _PIXELS_WORTH_A_CPU_DEVICE
        counts = range(1, min(available, worthwhile) + 1)
        divisors = (n for n in counts if all(part % n == 0 for part in rows))
        num_devices = max((n for n in divisors if fits(n * processes)), default=1)
    if num_devices is not None and not 1 <= num_devices <= available:
        raise ValueError(
            f"num_devices must be within 1 … {available}, the local devices, got "
            f"num_devices={num_devices}."
        )
    if device is not None:
        return DRIVERS[name]([device])
    devices = [d for i in range(processes) for d in jax.local_devices(i)[:num_devices]]
    return DRIVERS[name](devices)


def check_divisible(batch_sizes: Sequence[int], num_devices: int, group: int | None = None) -> None:
    """Refuses batches that are not equal parts for all devices, or not whole groups.

    Args:
        batch_sizes: of a run.
        num_devices: that a batch is split over.
        group: how many successive examples a network normalises together; None for the whole batch.

    Raises:
        ValueError: with sizes that would do.
    """
    for size in batch_sizes:
        for unit, what in (
            (num_devices, f"divide by the number of devices, got batch_size={size}, devices="),
            (group or 1, f"hold whole groups of a ghost batch norm, got batch_size={size}, ghost="),
        ):
            if size % unit:
                below = size - size % unit
                raise ValueError(
                    f"batch_size must {what}{unit}; use {f'{below} or ' if below else ''}"
                    f"{below + unit}."
                )


def split_cpu() -> None:
    """Makes two virtual devices of each core, so that `make_driver` can split batches over them.

    To be called before anything else uses a device. It leaves alone what the user has chosen by
    JAX_NUM_CPU_DEVICES or XLA_FLAGS, and GPUs and TPUs.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] != -1
    if not chosen and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        # Linux alone says how many of its cores a process may use.
        usable = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if usable else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", min(2 * cores, _MOST_CPU_DEVICES))


def connect(
    coordinator: str | None = None, processes: int | None = None, process_id: int | None = None
) -> None:
    """Makes this process one of several that train together, each with its own devices.

    To be called before anything else uses a device. What is not given is found out from the
    environment: of SLURM, Kubernetes, Open MPI, or a TPU pod.

    Args:
        coordinator: host and port of the first process, "10.0.0.1:1234".
        processes: how many there are.
        process_id: which of them this one is, from 0.

    Raises:
        ValueError: when something is not given and the environment does not say it either.
    """
    try:
        jax.distributed.initialize(coordinator, processes, process_id)
    except ValueError as error:
        raise ValueError(
            f"cannot find out which processes train together ({error}); give --coordinator "
            "HOST:PORT, --processes and --process-id, or start the command by srun, on a TPU pod "
            "or as an indexed job of Kubernetes."
        ) from error


def is_main() -> bool:
    """Whether this is the one process that prints, records and saves."""
    return jax.process_index() == 0
