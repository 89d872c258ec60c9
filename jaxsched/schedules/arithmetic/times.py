"""Arithmetic of numbers and times that may be traced: exact for integers, float32 otherwise."""

from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

if TYPE_CHECKING:
    Number: TypeAlias = ArrayLike
    Time: TypeAlias = ArrayLike | str
else:
    # Plain types at run time, so that a command line can parse the fields. Arrays and tracers work
    # too, because only the formula converts a field. A time may be text with a unit ("30%",
    # "500 updates"), which `jaxsched.Plan` converts to a number; see `units.py`.
    Number: TypeAlias = float
    Time: TypeAlias = float | str


_KNOWN = (bool, int, float, np.generic, np.ndarray)


def is_known(*values: Any) -> bool:
    """Returns whether all are Python or NumPy numbers, which can be checked before tracing."""
    return all([isinstance(value, _KNOWN) for value in values])


def namespace(values: Any) -> ModuleType:
    """Returns the module to compute with: NumPy for numbers on the host, else `jax.numpy`."""
    return np if isinstance(values, _KNOWN) else jnp


def as_number(value: Time) -> ArrayLike:
    """Returns a plain number unchanged; raises `ValueError` for text such as "30%".

    Only a plan knows how long "30%" is.
    """
    if isinstance(value, str):
        raise ValueError(
            f"a schedule can be evaluated once its times are numbers, got {value!r}; resolve it by "
            "Plan.resolve(schedule), or give a number in the unit of t."
        )
    return value


def as_float(value: Time) -> jax.Array:
    """Converts `value` to a strongly typed float32 array."""
    value = as_number(value)
    if isinstance(value, int | np.generic | np.ndarray):
        # NumPy converts, because JAX refuses or truncates whole numbers beyond int32.
        value = np.asarray(value, np.float32)
    return jnp.asarray(value).astype(jnp.float32)


def as_time(value: Time) -> jax.Array:
    """Converts whole numbers to signed integers where these suffice, all else to float32."""
    value = as_number(value)
    if isinstance(value, int | np.integer | np.ndarray):
        limits = jnp.iinfo(jax.dtypes.canonicalize_dtype(np.int64))
        whole = np.asarray(value).dtype.kind in "iuO"  # "O": Python integers of over 64 bits
        if whole and np.any((value < limits.min) | (value > limits.max)):
            return as_float(value)
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        return as_float(array)
    signed = np.dtype(np.int64 if array.dtype.itemsize > 4 else np.int32)
    if jnp.issubdtype(array.dtype, jnp.unsignedinteger):
        # Clips rather than wraps: the largest times of an unsigned type stay late.
        most = min(jnp.iinfo(signed).max, jnp.iinfo(array.dtype).max)
        array = jnp.minimum(array, jnp.asarray(most, array.dtype))
    return array.astype(signed)


def same_kind(t: Time, other: Time) -> tuple[jax.Array, jax.Array]:
    """Converts two times to integers if both are whole, and to float32 otherwise.

    Float32 counts exactly only up to 2²⁴ = 16.8 million. Comparing and subtracting update counts as
    integers keeps a schedule exact beyond that.
    """
    t, other = as_time(t), as_time(other)
    if t.dtype == other.dtype:
        return t, other
    if jnp.issubdtype(t.dtype, jnp.integer) and jnp.issubdtype(other.dtype, jnp.integer):
        wide = np.promote_types(t.dtype, other.dtype)
        return t.astype(wide), other.astype(wide)
    return as_float(t), as_float(other)


def since(t: Time, start: Time) -> jax.Array:
    """Returns the time elapsed since `start`: 0 before it, and at most the largest integer."""
    t, start = same_kind(t, start)
    if jnp.issubdtype(t.dtype, jnp.integer):
        zero = jnp.zeros_like(start)
        # With a negative start, t - start would overflow at the largest t.
        t = jnp.minimum(t, jnp.iinfo(t.dtype).max + jnp.minimum(start, zero))
    return jnp.maximum(t, start) - start


def add(a: Time, b: Time) -> ArrayLike:
    """Returns a + b, as Python or NumPy computes it if both are known."""
    a, b = (as_number(a), as_number(b)) if is_known(a, b) else same_kind(a, b)
    return cast(Any, a) + b


def subtract(a: Time, b: Time) -> ArrayLike:
    """Returns a − b, as Python or NumPy computes it if both are known."""
    a, b = (as_number(a), as_number(b)) if is_known(a, b) else same_kind(a, b)
    return cast(Any, a) - b


def laps(t: Time, length: Time) -> tuple[jax.Array, jax.Array]:
    """Returns the number of whole laps of `length` over at `t`, and the time since the last one.

    It is `divmod(t, length)` for times, exact for integers and safe for float32.
    """
    t, length = same_kind(t, length)
    t = jnp.maximum(t, jnp.zeros_like(t))
    length = jnp.where(length > 0, length, jnp.ones_like(length))
    if jnp.issubdtype(t.dtype, jnp.integer):
        lap = t // length
        return lap, t - lap * length
    return float_laps(t, length)


def float_laps(t: Any, length: Any) -> tuple[Any, Any]:
    """Returns `laps` of a time that is a float32 of at least 0."""
    xp = namespace(t)
    t = xp.minimum(t, np.finfo(np.float32).max)  # keeps an infinite time from becoming NaN
    # The quotient may round across a whole number, so the lap is corrected by exact comparison.
    lap = xp.floor(t / length)
    lap -= (lap * length > t).astype(np.float32)
    lap += ((lap + 1) * length <= t).astype(np.float32)
    return lap, xp.clip(t - lap * length, 0, length)


def done_and_left(t: Time, duration: Time) -> tuple[jax.Array, jax.Array]:
    """Returns the shares of `duration` that are over and left at `t`, both in [0, 1].

    The two add up to one, but each is computed by its own division, so that each is accurate near
    its zero; one minus the other would lose all its digits there. A zero duration is always over.
    """
    t, duration = same_kind(t, duration)
    t = jnp.clip(t, jnp.zeros_like(duration), duration)
    some = duration > 0
    # The inner `where` keeps the gradient finite for a zero duration.
    length = as_float(jnp.where(some, duration, jnp.ones_like(duration)))
    done = jnp.where(some, as_float(t) / length, 1.0)
    left = jnp.where(some, as_float(duration - t) / length, 0.0)
    return done, left
