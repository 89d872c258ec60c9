"""A metric: a quantity that an evaluation measures, with its better direction. Imports no JAX.

In a record a metric's values stand in columns, one for each set of examples that it is measured on:
`test_accuracy` is the accuracy on test examples.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jaxsched.text import mean_and_sd, title

Better: TypeAlias = Literal["lower", "higher"]
# The weights whose value counts at an evaluation: the average where there is one, the raw ones, or
# the better of the two.
Evaluate: TypeAlias = Literal["averaged", "raw", "better"]

# The beginnings of a metric's columns: what it is measured on, and with which weights.
COLUMN_PREFIXES = ("train_", "validation_", "test_", "averaged_validation_", "averaged_test_")


@dataclass(frozen=True)
class Metric:
    """A quantity that an evaluation measures.

    Attributes:
        name: its name, such as `loss`; or one of its columns, such as `test_loss`.
        better: which values are better, the "lower" or the "higher" ones.
        is_share: whether it is a share, within [0, 1], which is shown in per cent.

    Raises:
        ValueError: if `better` is another word.

    Example:
        >>> from jaxsched.metric import Metric
        >>> loss = Metric("test_loss", "lower")
        >>> loss.reaches(2.0, 2.1), loss.best([2.5, 2.0, float("nan")]), loss.show(2.0)
        (True, 2.0, '2')
    """

    name: str
    better: Better
    is_share: bool = False

    def __post_init__(self):
        if self.better not in ("lower", "higher"):
            raise ValueError(
                f"the metric {self.name} needs to say which values are better, 'lower' or "
                f"'higher', got {self.better!r}."
            )

    @property
    def words(self) -> str:
        """The name in words, such as "test loss"."""
        return title(self.name)

    @property
    def noun(self) -> str:
        """The name in words without "test", such as "loss"; those of other columns are whole."""
        return title(self.name.removeprefix("test_"))

    @property
    def unit(self) -> str:
        """The text after the name in a heading: per cent for a share, nothing for a number."""
        return ", %" if self.is_share else ""

    @property
    def scale(self) -> float:
        """The factor by which values are multiplied to be shown."""
        return 100.0 if self.is_share else 1.0

    def reaches(self, value: float, target: float) -> bool:
        """Returns whether a value is as good as the target or better; NaN never is."""
        return value >= target if self.better == "higher" else value <= target

    def best(self, values: Iterable[float]) -> float:
        """Returns the best of the values that are numbers; NaN if there is none."""
        numbers = [value for value in values if not math.isnan(value)]
        best = max if self.better == "higher" else min
        return best(numbers, default=math.nan)

    def gain(self, value: float, before: float) -> float:
        """Returns by how much a value is better than the one before; below 0 if it is worse."""
        return value - before if self.better == "higher" else before - value

    def show(self, value: float) -> str:
        """Returns a value as text: a share in per cent, another number with up to six digits."""
        return f"{value:.2%}" if self.is_share else f"{value:.6g}"

    def show_mean(self, mean: float | None, sd: float | None) -> str:
        """Returns a mean ± standard deviation as text, without the sign of per cent.

        A number has two digits of its standard deviation, and without one five digits.

        Args:
            mean: the mean; None gives "none".
            sd: its standard deviation; None, as for a single run, leaves it out.

        Example:
            >>> from jaxsched.metric import Metric
            >>> Metric("loss", "lower").show_mean(2.13579, 0.0123)
            '2.136 ± 0.012'
        """
        if self.is_share or mean is None:
            return mean_and_sd(mean, sd)
        if not sd:
            return f"{mean:.5g}" if sd is None else f"{mean:.5g} ± 0"
        decimals = max(0, 1 - math.floor(math.log10(sd)))
        return f"{mean:.{decimals}f} ± {sd:.{decimals}f}"

    def show_change(self, change: float) -> str:
        """Returns a difference of two values with its sign, without the sign of per cent."""
        return f"{100 * change:+.2f}" if self.is_share else f"{change:+.3g}"


def bare_name(column: str) -> str | None:
    """Returns the metric's name in that of a column; None if it has none of the prefixes.

    Example:
        >>> from jaxsched.metric import bare_name
        >>> bare_name("averaged_test_loss"), bare_name("loss")
        ('loss', None)
    """
    prefix = next((p for p in COLUMN_PREFIXES if column.startswith(p)), None)
    return column[len(prefix) :] if prefix and len(column) > len(prefix) else None


def column_of_average(column: str) -> str | None:
    """Returns the column of averaged weights beside a column of raw ones; None if it has none.

    Example:
        >>> from jaxsched.metric import column_of_average
        >>> column_of_average("test_loss"), column_of_average("train_loss")
        ('averaged_test_loss', None)
    """
    averaged = f"averaged_{column}"
    return averaged if averaged.startswith(COLUMN_PREFIXES) else None
