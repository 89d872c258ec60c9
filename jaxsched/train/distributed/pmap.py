"""The `pmap` driver: one program mapped over the devices."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsched.train.distributed.driver import AXIS, Driver


class PmapDriver(Driver):
    """One program a device, mapped over a named axis that the program itself reduces over."""

    axis_name = AXIS

    def _by_device(self, rows: np.ndarray) -> np.ndarray:
        """See `Driver._by_device`; adds the axis of devices that `pmap` maps over."""
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
            donate_argnums=tuple(position + 1 for position in donate),  # behind the index
        )
        indices = self._indices()
        if self.num_processes > 1:
            # On several processes `pmap` turns the arguments of `lower` into global arrays, which
            # it cannot do with shapes.
            arguments = jax.tree.map(self._zeros, arguments)
        return partial(self._compiled(mapped.lower(indices, *arguments)), indices)

    def _indices(self) -> Any:
        """Returns the index of each device, one on each."""
        return jax.device_put(jnp.arange(len(self.devices)), self.split)

    def _zeros(self, like: Any) -> Any:
        """Makes an array of this shape and placement; leaves anything but a shape as it is."""
        if not isinstance(like, jax.ShapeDtypeStruct):
            return like
        own = like.sharding.shard_shape(like.shape)
        if like.sharding == self.split:
            own = (self._num_local, *own[1:])
        return jax.make_array_from_process_local_data(like.sharding, np.zeros(own, like.dtype))
