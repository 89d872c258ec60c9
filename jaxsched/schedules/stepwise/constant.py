"""A constant value."""

from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.base import Number, Schedule, schedule


@schedule
class Constant(Schedule):
    """A constant: the same value at every time.

    Use it where a schedule is expected and nothing shall change, for instance as a part of a
    `Sequence` or a `Product`.

    Formula:
        value

    Attributes:
        value: the value.

    Example:
        >>> import jaxsched as js
        >>> float(js.Constant(0.5)(1_000_000))
        0.5
    """

    value: Number

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        return now.number(self.value)
