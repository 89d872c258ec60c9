"""The base class of all schedules, and the decorator that makes a class of fields one."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, dataclass_transform

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.moment import Moment, as_moment, is_scalar
from jaxsched.schedules.arithmetic.times import Number as Number
from jaxsched.schedules.arithmetic.times import Time as Time
from jaxsched.schedules.arithmetic.times import as_float as as_float
from jaxsched.schedules.arithmetic.times import is_known as is_known
from jaxsched.schedules.fields import STATIC, check_fields
from jaxsched.schedules.fields import is_static as is_static
from jaxsched.schedules.foreign_names import explain
from jaxsched.schedules.span import Span

T = TypeVar("T", bound=type)


class Schedule:
    """A pure function of time, `schedule(t) -> f32`, which is an `optax.Schedule` as it stands.

    The time `t` is in the unit in which the schedule's own numbers were given: the update count in
    your own Optax chain, epochs in a jaxsched experiment. It may be a Python number, or a NumPy or
    JAX array of any shape, traced or not; the result has the shape of `t` and is always float32.
    Before its beginning a schedule has its first value; after its end it keeps its last value.

    For a time and fields that are numbers of Python or NumPy, NumPy computes the value, in float64
    before it is rounded, and no device is touched: logging `schedule(step)` costs microseconds. A
    boundary comes at the same time eagerly and under jit, and exactly, however large the count.

    A schedule is a pytree of its numeric fields, so `jax.jit`, `jax.vmap` and `jax.grad` see
    through it, and a field that is passed as an array can change without a second compilation. A
    field that is a Python number keeps its 53 bits of precision. Slow decays need them: float32
    cannot tell a factor of 0.99999999 from 1. Schedules compare, hash and pickle; lists become
    tuples.

    `schedule * 2`, `schedule / 2` and `schedule + 0.01` are schedules, a `Product` or a `Sum`; so
    are the product and the sum of two schedules.

    A subclass of your own overrides `__call__`, and is then given arrays, or `at`.

    Example:
        >>> import jax, jax.numpy as jnp, jaxsched as js
        >>> jax.vmap(lambda peak: js.Cosine(peak, duration=10)(0))(jnp.array([0.25, 0.5]))
        Array([0.25, 0.5 ], dtype=float32)
        >>> js.Cosine(0.5, duration=10)(5)
        np.float32(0.25)
    """

    def __call__(self, t: ArrayLike) -> jax.Array:
        """Returns the value at time `t`: float32, of the shape of `t`.

        For numbers of Python or NumPy it is one of NumPy, else a JAX array.
        """
        return self.value_at(as_moment(t, np if is_known(t) and self.is_known else jnp))

    def value_at(self, now: Moment) -> jax.Array:
        """Returns the value at a time that compares exactly: float32, of the time's shape."""
        value = self.at(now)
        if now.xp is np:
            value = np.float32(value)
            return cast(Any, np.broadcast_to(value, now.shape) if now.shape else value)
        return jnp.broadcast_to(as_float(value), now.shape)

    def at(self, now: Moment) -> Any:
        """Returns the formula's value at a time that compares exactly."""
        return self(now.plain)

    def span(self) -> Span:
        """Returns when the schedule has warmed up, first turns, and ends, where that is known."""
        return Span()

    def misfits(self, until: float) -> tuple[str, ...]:
        """Returns sentences on what of it has no effect up to a time; mostly there are none.

        Args:
            until: the time at which the run ends, in its own unit.
        """
        del until
        return ()

    # Makes the numbers of NumPy leave products and sums to the methods below.
    __array_ufunc__ = None

    def __mul__(self, other: "Number | Callable[[Any], ArrayLike]") -> "Schedule":
        """Returns the product with a number, or with another schedule, as a `Product`."""
        from jaxsched.schedules.combine.product import Product  # which derives from this class

        return Product((*_parts_of(Product, self), *_parts_of(Product, _operand("*", self, other))))

    __rmul__ = __mul__

    def __truediv__(self, divisor: Number) -> "Schedule":
        """Returns the schedule divided by a number, as a `Product`."""
        if callable(divisor):
            raise TypeError(
                f"a schedule is divided by a number, got {self!r} / {divisor!r}; multiply it by a "
                "function of time: schedule * (lambda t: 1 / other(t))."
            )
        return self * (1 / cast(Any, divisor))

    def __add__(self, other: "Number | Callable[[Any], ArrayLike]") -> "Schedule":
        """Returns the sum with a number, or with another schedule, as a `Sum`."""
        from jaxsched.schedules.combine.sum import Sum  # which derives from this class

        return Sum((*_parts_of(Sum, self), *_parts_of(Sum, _operand("+", self, other))))

    __radd__ = __add__

    def __repr__(self) -> str:
        """Returns the code that makes it, without what came later and is at its default."""
        if not dataclasses.is_dataclass(self):
            return super().__repr__()
        fields = [f for f in dataclasses.fields(self) if not _is_silent(self, f)]
        given = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields)
        return f"{type(self).__name__}({given})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash(_key(self))

    @cached_property
    def is_known(self) -> bool:
        """Whether all numbers are known before tracing, so that NumPy can compute the value."""
        fields = dataclasses.fields(cast(Any, self)) if dataclasses.is_dataclass(self) else ()
        values = [getattr(self, f.name) for f in fields if not is_static(f)]
        return type(self).at is not Schedule.at and all(map(_is_plain, values))


def _is_silent(schedule: Schedule, field: dataclasses.Field) -> bool:
    """Returns whether a field came after its class and has the default of that time."""
    value = getattr(schedule, field.name)
    is_later = field.metadata.get("described") == _LATER["described"]
    return is_later and type(value) is type(field.default) and value == field.default


def _operand(sign: str, schedule: Schedule, other: Any) -> Any:
    """Returns what a schedule is multiplied by or added to: a number becomes a `Constant`."""
    from jaxsched.schedules.stepwise.constant import Constant  # which derives from `Schedule`

    if callable(other):
        return other
    if isinstance(other, int | float) or hasattr(other, "dtype"):
        return Constant(other)
    raise TypeError(
        f"a number or a schedule stands beside {sign} and a schedule, got {other!r} "
        f"beside {schedule!r}; to run schedules one after another use Sequence, for a slower clock "
        "Stretch."
    )


def _parts_of(combinator: Any, part: Any) -> tuple[Any, ...]:
    """Returns the parts of a product or a sum, so that none stands within another."""
    return part.parts if type(part) is combinator else (part,)


def _is_plain(value: Any) -> bool:
    """Returns whether a field holds only numbers of Python or NumPy."""
    if isinstance(value, Schedule):
        return value.is_known
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or is_scalar(value)


if TYPE_CHECKING:
    ScheduleLike: TypeAlias = Callable[[Any], ArrayLike]
else:
    # The argument of a combinator: a schedule or any function of time. A command line can build
    # only a schedule.
    ScheduleLike: TypeAlias = Schedule


def static(*, since_later: bool = False, **kwargs: Any) -> Any:
    """Declares a dataclass field that selects the formula, rather than being a number in it.

    A static field is part of the pytree's structure: changing it compiles anew.

    Args:
        since_later: whether the field came after its class, see `later`.
        **kwargs: those of `dataclasses.field`.
    """
    return dataclasses.field(metadata={STATIC: True, **(_LATER if since_later else {})}, **kwargs)


# At its default such a field is no part of a description, so that the digests of runs from before
# it stay.
_LATER = {"described": "unless default"}


def later(*, default: Any) -> Any:
    """Declares a dataclass field that came after its class, with the default that it had before."""
    return dataclasses.field(default=default, metadata=_LATER)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field, static, later))
def schedule(cls: T) -> T:
    """Makes a `Schedule` class a frozen dataclass and a pytree whose leaves are its numbers."""
    check_meaning = cls.__dict__.get("__post_init__", lambda self: None)

    def post_init(self):
        check_fields(self)
        check_meaning(self)

    cls.__post_init__ = post_init
    # Without `eq`: `Schedule` compares, since arrays do not compare to one bool. It prints, too.
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    _refuse_unknown_fields(cls)
    _register(cls)
    return cls


def _refuse_unknown_fields(cls: type) -> None:
    """Makes a class name its fields, where it is built with one that it has not."""
    init, known = cls.__init__, [field.name for field in dataclasses.fields(cast(Any, cls))]

    @functools.wraps(init)
    def checked(self, *args, **kwargs):
        unknown = next((name for name in kwargs if name not in known), None)
        if unknown is not None:
            raise TypeError(explain(cls.__name__, unknown, known))
        init(self, *args, **kwargs)

    cls.__init__ = checked


def _key(value: Any) -> Any:
    """Returns what a schedule or a value of its fields compares and hashes by."""
    if isinstance(value, Schedule):
        if not dataclasses.is_dataclass(value):
            return id(value)  # a class of the user's
        fields = dataclasses.fields(cast(Any, value))
        return (type(value), *(_key(getattr(value, field.name)) for field in fields))
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, Tracer):
        return id(value)
    if isinstance(value, np.ndarray | jax.Array):
        array = np.asarray(value)
        return array.dtype.str, array.shape, array.tobytes()
    return value


def _register(cls: type) -> None:
    """Registers a class as a pytree, also for `jax.export`."""
    fields = dataclasses.fields(cast(Any, cls))
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
    # A class of the user's may be defined again by the next run of its script, and JAX refuses a
    # second registration of the same name.
    if cls.__module__.startswith("jaxsched."):
        jax.export.register_pytree_node_serialization(
            cast(Any, cls),
            serialized_name=f"jaxsched.{cls.__qualname__}",
            serialize_auxdata=lambda fixed: json.dumps(fixed).encode(),
            deserialize_auxdata=lambda text: tuple(json.loads(text)),
        )


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


def require_length(owner: str, name: str, length: Any) -> None:
    """Raises `ValueError` if a length is not above 0."""
    require(
        lambda length: length > 0,
        length,
        message=f"{owner} needs a {name} above 0, got {name}={length}.",
    )


def require_duration(owner: str, duration: Any) -> None:
    """Raises `ValueError` if a duration is negative."""
    require(
        lambda duration: duration >= 0,
        duration,
        message=f"{owner} needs a duration of at least 0, got duration={duration}.",
    )
