"""The 1cycle policy: the learning rate up and down once, and the momentum against it."""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.base import (
    Number,
    Schedule,
    as_float,
    done_and_left,
    require,
    same_kind,
    schedule,
    static,
)

Anneal: TypeAlias = Literal["cosine", "linear"]


def _there_and_back(
    t: ArrayLike,
    duration: ArrayLike,
    rise: ArrayLike,
    anneal: Anneal,
    values: tuple[ArrayLike, ArrayLike, ArrayLike],
) -> jax.Array:
    """From the first value to the second during `rise · duration`, to the third in the rest."""
    first, second, third = map(as_float, values)
    rise = as_float(rise)
    now, turn = same_kind(t, rise * as_float(duration))
    up, _ = done_and_left(now, turn)
    _, left = done_and_left(t, duration)
    down = jnp.clip(left / jnp.maximum(1.0 - rise, jnp.finfo(jnp.float32).tiny), 0.0, 1.0)
    if anneal == "cosine":
        up, down = (jnp.sin(jnp.float32(0.5 * jnp.pi) * share) ** 2 for share in (up, down))
    return jnp.where(now < turn, first + (second - first) * up, third + (second - third) * down)


def _require_one_cycle(name: str, duration: Number, rise: Number) -> None:
    require(
        lambda duration: duration >= 0,
        duration,
        message=f"{name} needs a duration of at least 0, got duration={duration}.",
    )
    require(
        lambda rise: (rise >= 0) & (rise <= 1),
        rise,
        message=f"{name} needs rise, the share of the duration at which it turns, within [0, 1], "
        f"got rise={rise}.",
    )


@schedule
class OneCycle(Schedule):
    """Rises from a fraction of the peak to the peak, then falls to almost nothing.

    Formula:
        peak / div_factor → peak                       during the first rise · duration
        peak → peak / (div_factor · final_div_factor)  during the rest, and kept from then on

    along half cosine waves or straight lines.

    Attributes:
        peak: the highest value; the learning-rate range test finds it.
        duration: the time of the whole cycle, in the unit of t.
        rise: the share of the duration at which the peak is reached.
        div_factor: peak / first value; 10 to 25.
        final_div_factor: first value / last value.
        anneal: "cosine" or "linear".

    Raises:
        ValueError: when the duration is negative or `rise` outside [0, 1].

    Source:
        Smith and Topin, "Super-convergence" (arXiv 1708.07120), in the two-phase form that fastai
        and torch's `OneCycleLR` made popular. Torch's turns one update earlier and ends at update
        duration − 1.

    Example:
        >>> import jaxsched as js
        >>> [round(float(js.OneCycle(1.0, duration=10)(t)), 4) for t in (0, 3, 6.5, 10)]
        [0.04, 1.0, 0.5, 0.0]
    """

    peak: Number
    duration: Number
    rise: Number = 0.3
    div_factor: Number = 25.0
    final_div_factor: Number = 1e4
    anneal: Anneal = static(default="cosine")

    def __post_init__(self):
        _require_one_cycle("OneCycle", self.duration, self.rise)

    def __call__(self, t: ArrayLike) -> jax.Array:
        """The value at time `t`, float32, of the shape of `t`."""
        first = as_float(self.peak) / as_float(self.div_factor)
        values = (first, self.peak, first / as_float(self.final_div_factor))
        return _there_and_back(t, self.duration, self.rise, self.anneal, values)

    def momentum(self, high: Number = 0.95, low: Number = 0.85) -> "OneCycleMomentum":
        """The momentum that goes with this cycle: lowest where the learning rate is highest.

        Example:
            >>> import jaxsched as js
            >>> js.OneCycle(0.1, duration=10).momentum()
            OneCycleMomentum(duration=10, high=0.95, low=0.85, rise=0.3, anneal='cosine')
        """
        return OneCycleMomentum(self.duration, high, low, self.rise, self.anneal)


@schedule
class OneCycleMomentum(Schedule):
    """Falls from high to low while the learning rate of `OneCycle` rises, and comes back.

    Formula:
        high → low    during the first rise · duration
        low → high    during the rest; high from then on

    along half cosine waves or straight lines.

    Attributes:
        duration: the time of the whole cycle, in the unit of t.
        high: the first and last value; 0.95 in the paper.
        low: the value at the learning rate's peak; 0.85 or 0.8 (it barely matters which).
        rise: the share of the duration at which the learning rate peaks.
        anneal: "cosine" or "linear".

    Raises:
        ValueError: when the duration is negative, `rise` outside [0, 1] or `low` above `high`.

    Source:
        Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.3.

    Example:
        >>> import jaxsched as js
        >>> [round(float(js.OneCycleMomentum(duration=10)(t)), 4) for t in (0, 3, 6.5, 10)]
        [0.95, 0.85, 0.9, 0.95]
    """

    duration: Number
    high: Number = 0.95
    low: Number = 0.85
    rise: Number = 0.3
    anneal: Anneal = static(default="cosine")

    def __post_init__(self):
        _require_one_cycle("OneCycleMomentum", self.duration, self.rise)
        require(
            lambda low, high: low <= high,
            self.low,
            self.high,
            message=f"OneCycleMomentum needs low <= high, got low={self.low}, high={self.high}; "
            "swap them.",
        )

    def __call__(self, t: ArrayLike) -> jax.Array:
        """The value at time `t`, float32, of the shape of `t`."""
        values = (self.high, self.low, self.high)
        return _there_and_back(t, self.duration, self.rise, self.anneal, values)
