"""Drivers over devices that are only described: they compile, and place and run nothing."""

from collections.abc import Sequence
from typing import Any, Literal

import jax

from jaxsched.models.layers.target_platform import tracing_for
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.distributed.jit import JitDriver
from jaxsched.train.distributed.pmap import PmapDriver


class _Described(Driver):
    """Gives shapes where a driver places arrays, and traces for the platform of its devices."""

    def replicate(self, tree):
        """Returns the shapes of what `Driver.replicate` places."""
        return self.replicated_like(tree)

    def divide(self, rows):
        """Returns the shape of what `Driver.divide` places."""
        return self.divided_like(rows.shape, rows.dtype)

    def compile(self, program, *arguments, donate=(), split=()):
        """See `Driver.compile`; the result cannot run, but tells its text and its memory."""
        with tracing_for(self.devices[0].platform):
            return super().compile(program, *arguments, donate=donate, split=split)


class DescribedJitDriver(_Described, JitDriver):
    """The `jit` driver over described devices."""


class DescribedPmapDriver(_Described, PmapDriver):
    """The `pmap` driver over described devices."""

    def _indices(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((len(self.devices),), "int32", sharding=self.split)


_DRIVERS = {"jit": DescribedJitDriver, "pmap": DescribedPmapDriver}


def make_described_driver(name: Literal["jit", "pmap"], devices: Sequence[Any]) -> Driver:
    """Makes the driver of this name over described devices, of however many hosts."""
    return _DRIVERS[name](devices)
