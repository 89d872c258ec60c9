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
        return like_with_sharding(tree, self.split)

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


def _whole(rows: jax.Array) -> jax.Array:
    """A replica's part of a batch, where it has all of it."""
    return rows


def _first(tree: Any) -> Any:
    """The one row of every array."""
    return jax.tree.map(lambda array: array[0], tree)
