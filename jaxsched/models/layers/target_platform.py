"""The platform that a program is traced for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_TARGET: ContextVar[str | None] = ContextVar("target_platform", default=None)


def target_platform() -> str:
    """Returns the platform to trace for: JAX's default backend unless `tracing_for` names another.

    Example:
        >>> with tracing_for("tpu"):
        ...     target_platform()
        'tpu'
    """
    return _TARGET.get() or jax.default_backend()


@contextmanager
def tracing_for(platform: str) -> Iterator[None]:
    """Traces for another platform than this machine's, to compile for devices it doesn't have.

    JAX keeps the traces of functions that are jitted already: trace a new function in here.

    Args:
        platform: "cpu", "gpu" or "tpu", as `jax.default_backend` names it.

    Example:
        >>> with tracing_for("gpu"):
        ...     target_platform()
        'gpu'
    """
    token = _TARGET.set(platform)
    try:
        yield
    finally:
        _TARGET.reset(token)
