"""The `jit` driver: one program over a mesh of devices."""

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jaxsched.train.distributed.driver import AXIS, Driver


class JitDriver(Driver):
    """One program over a mesh: the compiler splits the batch and adds the reductions."""

    def compile(self, program, *arguments, donate=(), split=()):
        """See `Driver.compile`; `split` is not needed, since the arguments' shardings tell it."""

        def shard(rows: jax.Array) -> jax.Array:
            return lax.with_sharding_constraint(rows, self.split)

        def whole(*arguments):
            return program(shard, *arguments)

        jitted = jax.jit(whole, donate_argnums=tuple(donate), out_shardings=self.replicated)
        return self._compiled(jitted.lower(*arguments))

    def in_parts(self, tree, count):
        """See `Driver.in_parts`; every part has rows of every device."""
        devices, split = len(self.devices), NamedSharding(self.mesh, PartitionSpec(None, AXIS))

        def cut(rows: jax.Array) -> jax.Array:
            # Cut within each device's rows: parts of the batch's successive rows would move most
            # examples to another device.
            by_device = rows.reshape(devices, count, -1, *rows.shape[1:])
            parts = by_device.swapaxes(0, 1).reshape(count, -1, *rows.shape[1:])
            return lax.with_sharding_constraint(parts, split)

        return jax.tree.map(cut, tree)
