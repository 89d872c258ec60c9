"""Tells whether the weight norm bounces, and which schedule to choose. Imports no JAX."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

NormTrend: TypeAlias = Literal["bounces", "falls", "rises", "flat"]

# A smaller relative change of |w|² is ignored. It is not noise that this keeps out (the paper finds
# next to none in the norm of a whole network, once an epoch) but drift: weight decay alone takes
# 1 % off within a hundredth of its time scale, so less means that the run is too short to tell, or
# that the norm is near its equilibrium.
THRESHOLD = 0.01

WHAT_A_BOUNCE_IS = (
    f"A bounce: at a constant learning rate |w|² falls by at least {THRESHOLD:.0%} from its "
    f"highest value, and then rises by at least {THRESHOLD:.0%} over its minimum."
)

# Twice the threshold, and two evaluations: a rise that goes on, not one that just met the mark.
_CONFIRMED_RISE = 0.02
_CONFIRMING_ROWS = 2

# A norm that rises from the start is driven by its gradients. That can still change when the loss
# drops; five evaluations and 5 % are enough for a run that only has to find the trend.
_RISING_ROWS = 5
_CLEAR_RISE = 0.05

# After so many time scales of the decay, e⁻⁵ of the initial norm is left, less than the threshold.
_TIME_SCALES = 5


@dataclass(frozen=True)
class Bounce:
    """The trend of |w|² in a run at a constant learning rate, with the evidence.

    Attributes:
        trend: "bounces", |w|² fell and then rose; "falls", it fell and has not risen since;
            "rises", it never fell; "flat", it did neither.
        epochs: the length of the curve in epochs.
        minimum_epoch: the epoch of the minimum that the evidence refers to.
        first_rise: the largest |w|² before the minimum / the initial one − 1.
        fall: 1 − the minimum / the largest |w|² before it.
        rise: the largest |w|² after the minimum / the minimum − 1.
    """

    trend: NormTrend
    epochs: float
    minimum_epoch: float
    first_rise: float
    fall: float
    rise: float


def find_bounce(epochs: Sequence[float], squared_norms: Sequence[float]) -> Bounce:
    """Returns the trend of the norms of a run at a constant learning rate.

    Formula, with nₜ = |w|² at the t-th of the times 0 … T:
        fallₜ = 1 − nₜ / max(n₀ … nₜ),   riseₜ = max(nₜ … n_T) / nₜ − 1
        "bounces"  both reach 1 % at some t; the minimum is where the smaller of the two is largest
        "falls"    else, if fallₜ reaches 1 % at some t; the minimum is where it is largest
        "rises"    else, if n_T / n₀ − 1 reaches 1 %
        "flat"     else

    A fall counts from the largest norm before it, not from the initial one. A norm that rises
    first, as at the start of some trainings and in a warm-up, therefore "falls" after that rise and
    "bounces" once it rises again; `first_rise` identifies such a run. A bounce stays a bounce,
    whatever follows.

    Args:
        epochs: the times in increasing order; the first is 0.
        squared_norms: |w|² over all parameters at these times; the first is the initial one.

    Raises:
        ValueError: when the two have different lengths, the times do not start at 0 or do not
            increase, or a norm is not finite and above 0.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682).

    Example:
        >>> from jaxsched.tune.weight_norm.bounce import find_bounce
        >>> bounce = find_bounce(range(5), [100.0, 60.0, 50.0, 55.0, 60.0])
        >>> bounce.trend, bounce.minimum_epoch, bounce.fall, round(bounce.rise, 3)
        ('bounces', 2.0, 0.5, 0.2)
        >>> find_bounce(range(5), [100.0, 110.0, 90.0, 80.0, 80.5]).trend
        'falls'
    """
    times, norms = _validated(epochs, squared_norms)
    falls, rises = _falls_and_rises(norms)
    smaller = np.minimum(falls, rises)
    trend, index = "flat", norms.argmin()
    if smaller.max() >= THRESHOLD:
        trend, index = "bounces", smaller.argmax()
    elif falls.max() >= THRESHOLD:
        trend, index = "falls", falls.argmax()
    elif norms[-1] / norms[0] - 1 >= THRESHOLD:
        trend = "rises"
    return Bounce(
        trend=trend,
        epochs=float(times[-1] - times[0]),
        minimum_epoch=float(times[index]),
        first_rise=float(norms[: index + 1].max() / norms[0] - 1),
        fall=float(falls[index]),
        rise=float(rises[index]),
    )


def is_decided(epochs: Sequence[float], squared_norms: Sequence[float]) -> bool:
    """Returns whether a short run may stop here, because its trend is known.

    A bounce is known once two evaluations follow the minimum and the norm has risen by 2 % over it;
    this is final. A rise is known once the norm has risen at every evaluation, at least five times,
    and by 5 %. That would change if the decay took the lead later, so it is not for runs that warm
    up. A fall is never known: it may end in a bounce.

    Args:
        epochs: the times, as for `find_bounce`.
        squared_norms: |w|² at these times, as for `find_bounce`.

    Raises:
        ValueError: in the same cases as for `find_bounce`.

    Example:
        >>> from jaxsched.tune.weight_norm.bounce import is_decided
        >>> norms = [100.0, 60.0, 50.0, 55.0, 60.0]
        >>> is_decided(range(4), norms[:4]), is_decided(range(5), norms)
        (False, True)
    """
    _, norms = _validated(epochs, squared_norms)
    falls, rises = _falls_and_rises(norms)
    confirmed = (falls >= THRESHOLD) & (rises >= _CONFIRMED_RISE)
    if confirmed[:-_CONFIRMING_ROWS].any():
        return True
    only_rises = len(norms) > _RISING_ROWS and bool((np.diff(norms) > 0).all())
    return only_rises and bool(norms[-1] / norms[0] - 1 >= _CLEAR_RISE)


def advice(
    bounce: Bounce,
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    steps_per_epoch: float,
) -> str:
    """Returns a few sentences on which schedule to choose, with the numbers.

    Formula, for weight decay alone, per update:
        |w|² ← |w|² (1 − 2 η λ),   η = lr / (1 − momentum)
    so it shrinks |w|² by 1/e in 1 / (2 η λ) updates; a run much shorter than that cannot bounce.

    Args:
        bounce: the trend of the run.
        learning_rate: the run's constant learning rate.
        momentum: SGD's momentum; 0 if weight decay is outside the momentum, as in AdamW.
        weight_decay: λ.
        steps_per_epoch: updates per epoch.

    Raises:
        ValueError: when a number is out of its range.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), tables 1 and 2, section 4.

    Example:
        >>> from jaxsched.tune.weight_norm.bounce import advice, find_bounce
        >>> bounce = find_bounce(range(4), [100.0, 90.0, 80.0, 75.0])
        >>> setting = dict(learning_rate=0.1, momentum=0.9, weight_decay=5e-4, steps_per_epoch=100)
        >>> print(advice(bounce, **setting).replace(". ", ".\\n"))
        Up to epoch 3, |w|² fell by 25.0% (lowest at epoch 3) and has not risen since.
        Not decided: it may still turn.
        The decay alone shrinks |w|² by 1/e in 1 / (2 η λ) = 1,000 updates, 10 epochs.
        Look longer: --epochs 50.
        This is what one run says (n=1).
    """
    _require_numbers(learning_rate, momentum, weight_decay, steps_per_epoch)
    effective_lr = learning_rate / (1 - momentum)
    updates = 0.5 / (effective_lr * weight_decay) if weight_decay else math.inf
    time_scale = updates / steps_per_epoch
    decay_alone = (
        "The decay alone shrinks |w|² by 1/e in 1 / (2 η λ) = "
        f"{_number(updates)} updates, {_number(time_scale)} epochs."
    )
    if bounce.trend == "bounces":
        advised = _advice_on_a_bounce(bounce, has_decay=weight_decay > 0)
    elif weight_decay == 0:
        advised = [_NO_DECAY, _SIMPLE]
    elif bounce.trend == "falls":
        enough = math.ceil(max(_TIME_SCALES * time_scale, 2 * bounce.epochs))
        advised = [
            "Not decided: it may still turn.",
            decay_alone,
            f"Look longer: --epochs {enough}.",
        ]
    else:
        advised = [
            _SIMPLE,
            decay_alone,
            _reason_for_no_bounce(learning_rate, too_short=bounce.epochs < time_scale),
        ]
    return " ".join([_evidence(bounce), *advised, "This is what one run says (n=1)."])


_SIMPLE = (
    "No bounce: a constant learning rate with one late decay, at 85 to 90% of the run, is enough; "
    "without a bounce, a complex schedule gained next to nothing in the paper."
)
_NO_DECAY = "There is no weight decay, and without it no bounce is to be expected."


def _evidence(bounce: Bounce) -> str:
    """The sentence that describes the curve in numbers."""
    first = f"rose by {bounce.first_rise:.1%}, then " if bounce.first_rise >= THRESHOLD else ""
    fell = f"{first}fell by {bounce.fall:.1%} (lowest at epoch {_number(bounce.minimum_epoch)})"
    risen = f"risen by {bounce.rise:.1%}" if bounce.rise > 0 else "not risen"
    described = {
        "bounces": f"{fell} and has {risen} since: it bounces.",
        "falls": f"{fell} and has {risen} since.",
        "rises": f"rose by {bounce.rise:.1%} and never fell by 1%.",
        "flat": "never fell by 1% and ended within 1% of its initial value.",
    }
    return f"Up to epoch {_number(bounce.epochs)}, |w|² {described[bounce.trend]}"


def _advice_on_a_bounce(bounce: Bounce, *, has_decay: bool) -> list[str]:
    advised = [
        "A bounce is necessary, not sufficient, for a complex schedule (ABEL, cosine, steps) to "
        "beat a constant learning rate with one late decay: a training set that can be memorised "
        "before the bounce needs none.",
        "Worth a run: js.Abel(decay_factor=0.2) on CIFAR, js.Abel(decay_factor=0.1) elsewhere, at "
        "the same learning rate; expect its first decay when the norm has stopped growing.",
    ]
    if bounce.first_rise >= THRESHOLD:
        advised.append(
            "Set guard_rising=True: the norm rose first, and the paper's rule would mistake its "
            "first turn for the minimum."
        )
    if not has_decay:
        advised.append(
            "The paper's bounces come from weight decay, though, and there is none here: its "
            "evidence does not cover this run."
        )
    return advised


def _reason_for_no_bounce(learning_rate: float, *, too_short: bool) -> str:
    """Why there is no bounce in spite of weight decay."""
    if too_short:
        return (
            f"The run was shorter than that: a learning rate as small as {learning_rate:g} may be "
            "why there is no bounce; a larger one or a longer run may show one."
        )
    return "The run was longer than that: the gradients outweigh the decay."


def _number(value: float) -> str:
    """The number as short text: 3, 2.56, 1,000."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _falls_and_rises(norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At each time, the fall from the largest norm before it and the rise to the largest after."""
    largest_before = np.maximum.accumulate(norms)
    largest_after = np.maximum.accumulate(norms[::-1])[::-1]
    return 1 - norms / largest_before, largest_after / norms - 1


def _validated(
    epochs: Sequence[float], squared_norms: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; raises a ValueError if they are not a curve of norms."""
    times, norms = np.asarray(epochs, np.float64), np.asarray(squared_norms, np.float64)
    if not len(times) == len(norms) > 0:
        raise ValueError(
            "find_bounce needs one squared norm for each epoch, the initial one first, got "
            f"{len(times)} epochs and {len(norms)} squared norms."
        )
    if times[0] != 0:
        raise ValueError(
            "find_bounce needs 0 as the first epoch, with the norm of the initial weights, got "
            f"{times[0]:g}; put them before the evaluations."
        )
    if not (np.diff(times) > 0).all():
        raise ValueError(f"find_bounce needs epochs in increasing order, got {times.tolist()}.")
    wrong = ~(np.isfinite(norms) & (norms > 0))
    if wrong.any():
        raise ValueError(
            f"find_bounce needs finite squared norms above 0, got {norms[wrong][0]} at epoch "
            f"{times[wrong][0]:g}; a run that diverges has no trend, lower its learning rate."
        )
    return times, norms


def _require_numbers(
    learning_rate: float, momentum: float, weight_decay: float, steps_per_epoch: float
) -> None:
    """Raises a ValueError for a number out of its range."""
    if not learning_rate > 0:
        raise ValueError(f"advice needs a learning_rate above 0, got {learning_rate}.")
    if not 0 <= momentum < 1:
        raise ValueError(f"advice needs a momentum within [0, 1), got {momentum}.")
    if not weight_decay >= 0:
        raise ValueError(f"advice needs a weight_decay of at least 0, got {weight_decay}.")
    if not steps_per_epoch > 0:
        raise ValueError(f"advice needs steps_per_epoch above 0, got {steps_per_epoch}.")
