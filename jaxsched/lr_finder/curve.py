"""The curve of a range test: the losses of a run whose learning rate rises at every update."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from jaxsched.lr_finder.divergence import find_divergence, require_factor
from jaxsched.lr_finder.smoothing import centred_mean

Axis: TypeAlias = Literal["log", "linear"]

# At the lowest learning rates a run has hardly trained yet. These points, a tenth of all and at
# least ten, show how high its losses are before any divergence.
_MIN_START_POINTS = 10
_START_SHARE = 0.1

# 1 / (1 − β) as a share of the points. On the shapes of experiments/checks/range_rules.py a share
# twice as large moves a cliff's steepest point by more than a factor of 2, and half of it doubles
# the spread between seeds.
_MEMORY_SHARE = 0.05
_MIN_BETA = 0.5


@dataclass(frozen=True, eq=False)
class RangeCurve:
    """One run of a range test: the value used at each update, and the loss of its batch.

    The rules use only a part of the curve, so that neither a divergence, whatever its size, nor a
    single outlier moves a mean of the losses before it. The part ends where the losses rise above
    their start for good, and outliers are clipped:

        L: the n losses from the first value above 0 on, before the first that is not finite
        top = max(L_0 … L_{k−1}),   k = max(10, n / 10)
        used: min(L_i, top) up to the last L_i ≤ top

    Attributes:
        values: f64[n], ascending, at least 0: the learning rates.
        losses: f64[n], each the loss of an update's batch before that update; all but the first
            may be NaN or infinite.
        accuracies: f64[n], of the same batches, or None.
        seed: the run's seed, or None.
        axis: how the values are spaced, "log" or "linear". The rules use log values either way.
        stop_factor: the factor of `find_divergence`; with `math.inf` only a loss that is not finite
            counts as a divergence.
        validation: the curve of the losses on held-out examples, at some of the same values, or
            None. The rules read it by `suggest(curve.validation)`.

    Raises:
        ValueError: when the arrays do not fit together, the values do not ascend, the first loss is
            not finite, or stop_factor is not above 1.

    Example:
        >>> import numpy as np, jaxsched as js
        >>> rates = np.geomspace(1e-5, 10, 100)
        >>> losses = 2.3 - 1.5 / (1 + 0.01 / rates) + rates**4
        >>> curve = js.RangeCurve(rates, losses)
        >>> curve.num_looked_at, float(curve.values[curve.diverged_at].round(1))
        (84, 2.8)
        >>> float(curve.values[curve.smoothed.argmin()].round(2))
        0.23
    """

    values: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray | None = None
    seed: int | None = None
    axis: Axis = "log"
    stop_factor: float = 4.0
    validation: "RangeCurve | None" = None

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
        """The first update at which the run has diverged, by `find_divergence`; or None."""
        return find_divergence(self.losses, self.stop_factor)

    @cached_property
    def _looked_at(self) -> tuple[slice, np.ndarray]:
        """The points that the rules use, and the clipped losses there."""
        start = int(self.values[0] == 0)  # 0 has no logarithm
        not_finite = np.flatnonzero(~np.isfinite(self.losses[start:]))
        losses = self.losses[start:][: not_finite[0] if len(not_finite) else None]
        if not len(losses):
            return slice(start, start), losses
        top = losses[: max(_MIN_START_POINTS, int(_START_SHARE * len(losses)))].max()
        end = int(np.flatnonzero(losses <= top)[-1]) + 1
        return slice(start, start + end), np.minimum(losses[:end], top)

    @property
    def looked_at(self) -> slice:
        """The updates that the rules use."""
        return self._looked_at[0]

    @property
    def num_looked_at(self) -> int:
        """The number of updates that the rules use."""
        return len(self._looked_at[1])

    @property
    def looked_at_losses(self) -> np.ndarray:
        """The losses at these updates, clipped at the top: f64[num_looked_at]."""
        return self._looked_at[1]

    @property
    def beta(self) -> float:
        """β of the means: 1 − 20 / num_looked_at, at least 0.5."""
        return max(_MIN_BETA, 1 - 1 / (_MEMORY_SHARE * max(self.num_looked_at, 1)))

    @cached_property
    def smoothed(self) -> np.ndarray:
        """The centred mean of the losses that the rules use: f64[num_looked_at]."""
        losses = self.looked_at_losses
        return centred_mean(losses, self.beta) if len(losses) else losses

    @property
    def lowest_at(self) -> float | None:
        """The value at which the smoothed loss is lowest; None without a loss."""
        if not self.num_looked_at:
            return None
        return float(self.values[self.looked_at][self.smoothed.argmin()])

    @property
    def ends_above_start(self) -> bool:
        """Whether the losses rise above their start for good, or the run ended by diverging."""
        # A run that went on after a divergence may have come back, and then its end counts.
        ended_diverging = self.diverged_at == len(self.losses) - 1
        return self.looked_at.stop < len(self.losses) or ended_diverging


def _require_fitting(curve: RangeCurve) -> None:
    """Raises `ValueError` unless the arrays make a curve, and the other fields fit."""
    require_factor(curve.stop_factor)
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
