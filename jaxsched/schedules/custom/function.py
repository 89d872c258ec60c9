"""Any function of time as a schedule."""

from collections.abc import Callable
from typing import Any, cast

from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Schedule, as_float, schedule, static


@schedule
class Function(Schedule):
    """A plain function of time, such as an Optax schedule or a lambda, as a schedule.

    Wherever a schedule is expected, a function is wrapped in it automatically. The function is
    static: numbers in its closure are constants of the compiled program.

    Formula:
        fn(t)

    Attributes:
        fn: a function of a time or an array of times, written with `jax.numpy` so that it can be
            traced.

    Raises:
        ValueError: if `fn` cannot be called.

    Example:
        >>> import optax, jaxsched as js
        >>> js.Function(optax.linear_schedule(1.0, 0.0, 4))(1)
        Array(0.75, dtype=float32)
    """

    fn: Callable[[Any], ArrayLike] = static()

    def __post_init__(self):
        if not callable(self.fn):
            raise ValueError(f"Function needs a function of time, got {self.fn!r}.")

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return as_float(self.fn(now.plain))

    @property
    def is_known(self) -> bool:
        """See `Schedule.is_known`."""
        return False  # the function may compute with JAX


def as_schedule(owner: str, part: Any) -> Schedule:
    """Returns a schedule unchanged and wraps any other function; raises `ValueError` otherwise."""
    if isinstance(part, Schedule):
        return part
    if callable(part):
        return Function(cast(Callable[[Any], ArrayLike], part))
    raise ValueError(
        f"{owner} needs a schedule or a function of time, got {part!r}; for a value that never "
        f"changes pass Constant({part!r})."
    )
