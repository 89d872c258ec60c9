"""The driver of a population: several runs at once, on one device or several."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from jaxsched.train.distributed.driver import AXIS, Driver, like_with_sharding


class MembersDriver(Driver):
    """Runs a program for several members at once, each of them on one device as a whole.

    A program is written for one member: of the arguments in `split`, and of its results, it sees
    only this member's. In the members' arrays the leading axis counts members.

    Args:
        devices: the devices to spread the members over.
        per_device: the number of members on each device, side by side by `vmap`.
    """

    def __init__(self, devices: Sequence[Any], per_device: int = 1):
        super().__init__(devices)
        self._per_device = per_device
        self.num_members = len(self.devices) * per_device

    @property
    def num_shards(self) -> int:
        """See `Driver.num_shards`; a member's batch is on one device as a whole."""
        return 1

    def divided_like(self, shape, dtype):
        """Returns the shape of one such array for each member, to compile for."""
        return super().divided_like((self.num_members, *shape), dtype)

    def members_like(self, tree: Any) -> Any:
        """Returns these shapes, which have an axis of members, as `divide` places them."""
        return like_with_sharding(tree, self.split)

    def repeat(self, tree: Any) -> Any:
        """Copies every array for each member."""

        def place(array: Any) -> jax.Array:
            rows = np.broadcast_to(array, (self.num_members, *np.shape(array)))
            return self.divide(rows)

        return jax.tree.map(place, tree)

    def initialise(self, function):
        """See `Driver.initialise`; an argument that has an axis has a row for each member."""

        def for_members(*arguments):
            axes = tuple(0 if jnp.ndim(argument) else None for argument in arguments)
            return jax.vmap(function, in_axes=axes)(*arguments)

        options = {"xla_backend_optimization_level": 0}
        return jax.jit(for_members, out_shardings=self.split, compiler_options=options)

    def compile(self, program, *arguments, donate=(), split=()):
        """See `Driver.compile`; `shard` returns the member's whole batch."""

        def on_device(*arguments):
            if self._per_device == 1:
                # `vmap` would turn a convolution into a grouped one, which adds in another order:
                # the member would not be bit for bit the run that it is alone.
                alone = [_first(a) if i in split else a for i, a in enumerate(arguments)]
                return jax.tree.map(lambda array: array[None], program(_whole, *alone))
            axes = tuple(0 if i in split else None for i in range(len(arguments)))
            return jax.vmap(partial(program, _whole), in_axes=axes)(*arguments)

        each, all_ = PartitionSpec(AXIS), PartitionSpec()
        specs = tuple(each if i in split else all_ for i in range(len(arguments)))
        # No reduction crosses devices, so nothing is lost by not checking for it.
        mapped = jax.shard_map(
            on_device,
            mesh=self.mesh,
            in_specs=specs,
            out_specs=each,
            check_vma=False,
        )
        jitted = jax.jit(mapped, donate_argnums=tuple(donate))
        return self._compiled(jitted.lower(*arguments))


def _whole(rows: jax.Array) -> jax.Array:
    """Returns a replica's part of a batch where that is all of it."""
    return rows


def _first(tree: Any) -> Any:
    """Returns the only row of every array."""
    return jax.tree.map(lambda array: array[0], tree)
