"""The base class of all schedules, and the exact arithmetic of times that they share."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, dataclass_transform

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

T = TypeVar("T", bound=type)
_STATIC = "static"


class Schedule:
    """A pure function of time, `schedule(t) -> f32`, which is an `optax.Schedule` as it stands.

    The time `t` is in the unit in which the schedule's own numbers were given: the update count in
    your own Optax chain, epochs in a jaxsched experiment. It may be a Python number, or a NumPy or
    JAX array of any shape, traced or not; the result has the shape of `t` and is always float32.
    Before its beginning a schedule has its first value; after its end it keeps its last value.

    A schedule is a pytree of its numeric fields, so `jax.jit`, `jax.vmap` and `jax.grad` see
    through it, and a field that is passed as an array can change without a second compilation. A
    field that is a Python number keeps its 53 bits of precision. Slow decays need them: float32
    cannot tell a factor of 0.99999999 from 1.

    Example:
        >>> import jax, jax.numpy as jnp, jaxsched as js
        >>> jax.vmap(lambda peak: js.Cosine(peak, duration=10)(0))(jnp.array([0.25, 0.5]))
        Array([0.25, 0.5 ], dtype=float32)
    """

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`."""
        raise NotImplementedError


if TYPE_CHECKING:
    ScheduleLike: TypeAlias = Callable[[Any], ArrayLike]
else:
    # The argument of a combinator: a schedule or any function of time. A command line can build
    # only a schedule.
    ScheduleLike: TypeAlias = Schedule


def static(**kwargs: Any) -> Any:
    """Declares a dataclass field that selects the formula, rather than being a number in it.

    A static field is part of the pytree's structure: changing it compiles anew.
    """
    return dataclasses.field(metadata={_STATIC: True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static))
def schedule(cls: T) -> T:
    """Makes a `Schedule` class a frozen dataclass and a pytree whose leaves are its numbers."""
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)
    numbers = [f.name for f in fields if not is_static(f)]
    form = [f.name for f in fields if is_static(f)]

    def flatten_with_keys(self):
        leaves = [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in numbers]
        return leaves, tuple(getattr(self, name) for name in form)

    def unflatten(fixed, leaves):
        # Skips `__init__` and its checks: JAX also puts vmap axes, shapes and placeholders where
        # the numbers were, and those must not be refused.
        rebuilt = object.__new__(cls)
        for name, value in zip((*numbers, *form), (*leaves, *fixed), strict=True):
            object.__setattr__(rebuilt, name, value)
        return rebuilt

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls


def is_static(field: dataclasses.Field) -> bool:
    """Returns whether a field of a schedule was declared with `static`."""
    return _STATIC in field.metadata


def is_known(*values: Any) -> bool:
    """Returns whether all are Python or NumPy numbers, which can be checked before tracing."""
    return all(isinstance(value, bool | int | float | np.generic | np.ndarray) for value in values)


def require(holds: Callable[..., Any], *values: Any, message: str) -> None:
    """Raises `ValueError(message)` unless `holds(*values)`; JAX arrays and tracers always pass."""
    if is_known(*values) and not np.all(holds(*values)):
        raise ValueError(message)


def require_ascending(owner: str, what: str, times: Any) -> None:
    """Raises `ValueError` if a time is earlier than the one before it."""
    for before, after in itertools.pairwise(times):
        require(
            lambda a, b: a <= b,
            before,
            after,
            message=f"{owner} needs {what} in ascending order, got {after} after {before}; "
            "sort them.",
        )


def require_duration(owner: str, duration: Any) -> None:
    """Raises `ValueError` if a duration is negative."""
    require(
        lambda duration: duration >= 0,
        duration,
        message=f"{owner} needs a duration of at least 0, got duration={duration}.",
    )


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
    signed = jnp.promote_types(jnp.int32, jnp.dtype(f"int{8 * array.dtype.itemsize}"))
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
        wide = jnp.promote_types(t.dtype, other.dtype)
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
    t = jnp.minimum(t, jnp.finfo(t.dtype).max)  # keeps an infinite time from becoming NaN
    # The quotient may round across a whole number, so the lap is corrected by exact comparison.
    lap = jnp.floor(t / length)
    lap -= as_float(lap * length > t)
    lap += as_float((lap + 1) * length <= t)
    return lap, jnp.clip(t - lap * length, jnp.zeros_like(length), length)


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
