"""The losses of one run whose learning rate, or another value, was raised update by update."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from jaxsched.lr_finder.divergence import find_divergence
from jaxsched.lr_finder.smoothing import centred_mean

Axis: TypeAlias = Literal["log", "linear"]

# At the lowest values a run has hardly moved yet; so many points and this share of them show how
# high its losses are by themselves.
_FEWEST_AT_START = 10
_START = 0.1

# 1 / (1 − β) as a share of the points. On the shapes of experiments/checks/range_rules.py twice as
# much moves a cliff's steepest point by more than a factor of 2, half as much doubles the spread.
_SHARE = 0.05
_LEAST_BETA = 0.5


@dataclass(frozen=True, eq=False)
class RangeCurve:
    """One run of a range test: the value in force at each update, and what the update saw.

    What is looked at ends before the losses leave for good, and what sticks out is cut:

        L: from the first value above 0 on, before the first that is not finite; n of them
        top = max(L_0 … L_{k−1}),   k = max(10, n / 10)
        looked at: min(L_i, top) up to the last L_i ≤ top

    so that a divergence, whatever its size, and single leaps move no mean of the losses before.

    Attributes:
        values: f64[n], ascending, of at least 0: the learning rates.
        losses: f64[n], of the updates' own batches, before each update; may end not finite.
        accuracies: f64[n] of the same batches, or None.
        seed: of the run, or None.
        axis: how the values are spaced, "log" or "linear". The rules look at log values either way.

    Raises:
        ValueError: when the arrays do not fit together, values do not ascend, or the first loss is
            not finite.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> rates = np.geomspace(1e-5, 10, 100)
        >>> losses = 2.3 - 1.5 / (1 + 0.01 / rates) + rates**4
        >>> curve = js.RangeCurve(rates, losses)
        >>> curve.num_looked_at, float(curve.values[curve.diverged_at].round(1))
        (84, 2.2)
        >>> float(curve.values[curve.smoothed.argmin()].round(2))
        0.23
    """

    values: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray | None = None
    seed: int | None = None
    axis: Axis = "log"

    def __post_init__(self):
        for name in ("values", "losses", "accuracies"):
            given = getattr(self, name)
            if given is not None:
                array = np.array(given, np.float64)
                array.flags.writeable = False
                object.__setattr__(self, name, array)
        _require_fitting(self)

    @cached_property
    def diverged_at(self) -> int | None:
        """The first update at which the run counts as diverged, by `find_divergence`; or None."""
        return find_divergence(self.losses)

    @cached_property
    def _looked_at(self) -> tuple[slice, np.ndarray]:
        """Which points the rules look at, and the losses there as they see them."""
        start = int(self.values[0] == 0)
        not_finite = np.flatnonzero(~np.isfinite(self.losses[start:]))
        losses = self.losses[start:][: not_finite[0] if len(not_finite) else None]
        if not len(losses):
            return slice(start, start), losses
        top = losses[: max(_FEWEST_AT_START, int(_START * len(losses)))].max()
        end = int(np.flatnonzero(losses <= top)[-1]) + 1
        return slice(start, start + end), np.minimum(losses[:end], top)

    @property
    def looked_at(self) -> slice:
        """The updates that the rules look at."""
        return self._looked_at[0]

    @property
    def num_looked_at(self) -> int:
        """How many updates the rules look at."""
        return len(self._looked_at[1])

    @property
    def looked_at_losses(self) -> np.ndarray:
        """The losses there, cut at the top: f64[num_looked_at]."""
        return self._looked_at[1]

    @property
    def beta(self) -> float:
        """β of the means: 1 − 20 / num_looked_at, not below 0.5."""
        return max(_LEAST_BETA, 1 - 1 / (_SHARE * max(self.num_looked_at, 1)))

    @cached_property
    def smoothed(self) -> np.ndarray:
        """The centred mean of what is looked at: f64[num_looked_at]."""
        return centred_mean(self.looked_at_losses, self.beta)

    @property
    def leaves(self) -> bool:
        """Whether the range goes on beyond what is looked at, the losses having left."""
        return self.looked_at.stop < len(self.losses) or self.diverged_at is not None


def _require_fitting(curve: RangeCurve) -> None:
    """Refuses arrays that are no curve."""
    values, losses, accuracies = curve.values, curve.losses, curve.accuracies
    shapes = [array.shape for array in (values, losses, accuracies) if array is not None]
    if values.ndim != 1 or not len(values) or len(set(shapes)) > 1:
        raise ValueError(
            "RangeCurve needs values, losses and accuracies as series of one length, at least 1, "
            f"got shapes {', '.join(map(str, shapes))}."
        )
    if not (np.isfinite(values).all() and values[0] >= 0 and (np.diff(values) > 0).all()):
        raise ValueError(
            "RangeCurve needs finite values of at least 0 that ascend, got "
            f"{np.array2string(values, threshold=6, precision=3)}."
        )
    if curve.axis not in ("log", "linear"):
        raise ValueError(f"RangeCurve needs axis 'log' or 'linear', got {curve.axis!r}.")
    if not np.isfinite(losses[0]):
        raise ValueError(
            f"RangeCurve needs a finite first loss, got {losses[0]} at the lowest value, "
            f"{values[0]:g}; start the range lower."
        )
