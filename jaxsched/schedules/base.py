"""What every schedule is: a frozen dataclass whose call is its formula."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

if TYPE_CHECKING:
    Number: TypeAlias = ArrayLike
else:
    # At run time a plain float, so that a command line can parse the field. An array or a tracer
    # is as welcome: nothing converts the fields before the formula does.
    Number: TypeAlias = float

T = TypeVar("T", bound=type)
_STATIC = "static"


class Schedule:
    """A pure function of time, `schedule(t) -> f32`, and so an `optax.Schedule` as it stands.

    `t` is in whichever unit the schedule's own numbers are in: the update count in your own Optax
    chain, epochs in a jaxsched experiment. It may be a Python number, a NumPy or a JAX array of any
    shape, also a traced one; the answer has its shape and is always float32. Before its beginning
    and past its end a schedule keeps its first and its last value.

    A schedule is a pytree of its numeric fields: `jax.vmap`, `jax.grad` and `jax.jit` see through
    it, and a field that is passed as an array can change without a second compilation.

    Example:
        >>> import jax, jax.numpy as jnp, jaxsched as js
        >>> jax.vmap(lambda peak: js.Cosine(peak, duration=10)(0))(jnp.array([0.25, 0.5]))
        Array([0.25, 0.5 ], dtype=float32)
    """

    def __call__(self, t: ArrayLike) -> jax.Array:
        """The value at time `t`, float32, of the shape of `t`."""
        raise NotImplementedError


def static(**kwargs: Any) -> Any:
    """A dataclass field that is part of the formula's form, not one of its numbers."""
    return dataclasses.field(metadata={_STATIC: True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
def schedule(cls: T) -> T:
    """Makes a `Schedule` a frozen dataclass and a pytree whose leaves are its numbers."""
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)
    jax.tree_util.register_dataclass(
        cls,
        data_fields=[f.name for f in fields if _STATIC not in f.metadata],
        meta_fields=[f.name for f in fields if _STATIC in f.metadata],
    )
    return cls


def require(holds: Callable[..., Any], *values: Any, message: str) -> None:
    """Raises `ValueError(message)` unless `holds(*values)`; values that are traced always pass.

    Checked only where every value is a Python or NumPy number: a traced value is not known yet,
    and JAX rebuilds pytrees with placeholders in place of numbers.
    """
    known = (bool, int, float, np.generic, np.ndarray)
    if all(isinstance(value, known) for value in values) and not np.all(holds(*values)):
        raise ValueError(message)


def as_float(value: ArrayLike) -> jax.Array:
    """`value` as a strongly typed float32 array."""
    return jnp.asarray(value).astype(jnp.float32)


def same_kind(t: ArrayLike, other: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Both as integers where both are, else both as float32.

    Float32 counts exactly only up to 2²⁴ = 16.8 million. Comparing and subtracting update counts
    as integers keeps a schedule exact beyond that.
    """
    t, other = jnp.asarray(t), jnp.asarray(other)
    if jnp.issubdtype(t.dtype, jnp.integer) and jnp.issubdtype(other.dtype, jnp.integer):
        dtype = jnp.promote_types(t.dtype, other.dtype)
        return t.astype(dtype), other.astype(dtype)
    return as_float(t), as_float(other)


def done_and_left(t: ArrayLike, duration: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """The share of `duration` that is over at `t` and the share that is left, both in [0, 1].

    They add up to one, but each is computed by a division of its own, so that each is accurate
    near its zero: one minus the other would lose all its digits there. A zero duration is over
    from t = 0 on.
    """
    t, duration = same_kind(t, duration)
    over = t >= duration
    t = jnp.clip(t, jnp.zeros_like(duration), duration)
    # The inner `where` keeps the gradient finite at a zero duration.
    length = as_float(jnp.where(duration > 0, duration, jnp.ones_like(duration)))
    done = jnp.where(over, 1.0, as_float(t) / length)
    left = jnp.where(over, 0.0, as_float(duration - t) / length)
    return jnp.where(duration > 0, done, as_float(over)), jnp.where(
        duration > 0, left, as_float(~over)
    )
