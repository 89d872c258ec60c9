"""Whether the weight norm bounces, and which schedule that asks for. Knows no JAX."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

NormTrend: TypeAlias = Literal["bounces", "falls", "rises", "flat"]

# A smaller relative change of |w|² says nothing. It is not noise that is kept out (the paper finds
# next to none in the norm of a whole network, once an epoch) but drift: the decay alone takes 1 %
# off within a hundredth of its time scale, so less means that the run is too short to tell, or that
# the norm is near its equilibrium.
THRESHOLD = 0.01

# Twice the threshold and two rows: a rise that is still going on, not one that just met the mark.
_CONFIRMED_RISE = 0.02
_CONFIRMING_ROWS = 2

# What rises from the start has its gradients in the lead. That could still change, when the loss
# drops; five rows and 5 % are enough for a run that is only there to find out.
_RISING_ROWS = 5
_CLEAR_RISE = 0.05

# What is left of the initial norm then is e⁻⁵, less than the threshold: the decay has had its say.
_TIME_SCALES = 5


@dataclass(frozen=True)
class Bounce:
    """What |w|² did in a run at a constant learning rate, with the evidence.

    Attributes:
        verdict: "bounces", it fell and then rose; "falls", it fell and has not risen since;
            "rises", it never fell; "flat", it did neither.
        epochs: how many were looked at.
        minimum_epoch: when |w|² was at the minimum that the evidence is about.
        first_rise: the largest |w|² before the minimum / the initial one − 1.
        fall: 1 − the minimum / the largest |w|² before it.
        rise: the largest |w|² after the minimum / the minimum − 1.
    """

    verdict: NormTrend
    epochs: float
    minimum_epoch: float
    first_rise: float
    fall: float
    rise: float


def find_bounce(epochs: Sequence[float], squared_norms: Sequence[float]) -> Bounce:
    """The verdict on the norms of a run at a constant learning rate.

    Formula, with nₜ = |w|² at the t-th of the times 0 … T:
        fallₜ = 1 − nₜ / max(n₀ … nₜ),   riseₜ = max(nₜ … n_T) / nₜ − 1
        "bounces"  both reach 1 % at some t; the minimum is where the smaller of the two is largest
        "falls"    else, if fallₜ reaches 1 % at some t; the minimum is where it is largest
        "rises"    else, if n_T / n₀ − 1 reaches 1 %
        "flat"     else

    A fall counts from the largest norm before it, not from the initial one. So where the norm rises
    first, as at the start of some trainings and in a warm-up, it then "falls", and it "bounces"
    once it rises again; `first_rise` tells such a run. A bounce stays one, whatever follows.

    Args:
        epochs: the times, growing; the first is 0.
        squared_norms: |w|² over all parameters at these times; the first is the initial one.

    Raises:
        ValueError: when the two do not fit together, times do not grow, or a norm is not finite and
            above 0.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682).

    Example:
        >>> from jaxsched.tune.weight_norm.bounce import find_bounce
        >>> bounce = find_bounce(range(5), [100.0, 60.0, 50.0, 55.0, 60.0])
        >>> bounce.verdict, bounce.minimum_epoch, bounce.fall, round(bounce.rise, 3)
        ('bounces', 2.0, 0.5, 0.2)
        >>> find_bounce(range(5), [100.0, 110.0, 90.0, 80.0, 80.5]).verdict
        'falls'
    """
    times, norms = _checked(epochs, squared_norms)
    falls, rises = _falls_and_rises(norms)
    clearest = np.minimum(falls, rises)
    verdict, at = "flat", norms.argmin()
    if clearest.max() >= THRESHOLD:
        verdict, at = "bounces", clearest.argmax()
    elif falls.max() >= THRESHOLD:
        verdict, at = "falls", falls.argmax()
    elif norms[-1] / norms[0] - 1 >= THRESHOLD:
        verdict = "rises"
    return Bounce(
        verdict=verdict,
        epochs=float(times[-1] - times[0]),
        minimum_epoch=float(times[at]),
        first_rise=float(norms[: at + 1].max() / norms[0] - 1),
        fall=float(falls[at]),
        rise=float(rises[at]),
    )


def is_decided(epochs: Sequence[float], squared_norms: Sequence[float]) -> bool:
    """Whether a short run may stop here, its verdict known.

    That is once a bounce is confirmed, by two rows after the minimum and a rise of 2 % over it, or
    once the norm has risen in every row, five of them at least, and by 5 %. The former is final;
    the latter would change if the gradients lost their lead, so it is not for runs that warm up. A
    fall is never decided: it may end in a bounce.

    Args:
        epochs: see `find_bounce`.
        squared_norms: likewise.

    Raises:
        ValueError: see `find_bounce`.

    Example:
        >>> from jaxsched.tune.weight_norm.bounce import is_decided
        >>> norms = [100.0, 60.0, 50.0, 55.0, 60.0]
        >>> is_decided(range(4), norms[:4]), is_decided(range(5), norms)
        (False, True)
    """
    _, norms = _checked(epochs, squared_norms)
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
    """What the verdict says about the schedule to choose, in a few sentences with the numbers.

    Formula, of the decay alone, per update:
        |w|² ← |w|² (1 − 2 η λ),   η = lr / (1 − momentum)
    so it shrinks |w|² by 1/e in 1 / (2 η λ) updates; a run much shorter than that cannot bounce.

    Args:
        bounce: of the run.
        learning_rate: of the run, constant.
        momentum: of SGD; 0 where the decay stands outside the momentum, as in AdamW.
        weight_decay: λ.
        steps_per_epoch: updates an epoch.

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
    rate = learning_rate / (1 - momentum)
    updates = 0.5 / (rate * weight_decay) if weight_decay else math.inf
    scale = updates / steps_per_epoch
    pace = (
        "The decay alone shrinks |w|² by 1/e in 1 / (2 η λ) = "
        f"{_number(updates)} updates, {_number(scale)} epochs."
    )
    if bounce.verdict == "bounces":
        advised = _on_a_bounce(bounce, has_decay=weight_decay > 0)
    elif weight_decay == 0:
        advised = [_NO_DECAY, _SIMPLE]
    elif bounce.verdict == "falls":
        enough = math.ceil(max(_TIME_SCALES * scale, 2 * bounce.epochs))
        advised = [
            "Not decided: it may still turn.",
            pace,
            f"Look longer: --epochs {enough}.",
        ]
    else:
        advised = [
            _SIMPLE,
            pace,
            _on_the_rate(learning_rate, too_short=bounce.epochs < scale),
        ]
    return " ".join([_evidence(bounce), *advised, "This is what one run says (n=1)."])


_SIMPLE = (
    "No bounce: a constant learning rate with one late decay, at 85 to 90% of the run, is enough; "
    "without a bounce the paper gains next to nothing from a complex schedule."
)
_NO_DECAY = "There is no weight decay, and without it no bounce is to be expected."


def _evidence(bounce: Bounce) -> str:
    """The sentence with the numbers."""
    first = f"rose by {bounce.first_rise:.1%}, then " if bounce.first_rise >= THRESHOLD else ""
    fell = f"{first}fell by {bounce.fall:.1%} (lowest at epoch {_number(bounce.minimum_epoch)})"
    risen = f"risen by {bounce.rise:.1%}" if bounce.rise > 0 else "not risen"
    advised = {
        "bounces": f"{fell} and has {risen} since: it bounces.",
        "falls": f"{fell} and has {risen} since.",
        "rises": f"rose by {bounce.rise:.1%} and never fell by 1%.",
        "flat": "never fell by 1% and ended within 1% of where it began.",
    }
    return f"Up to epoch {_number(bounce.epochs)}, |w|² {advised[bounce.verdict]}"


def _on_a_bounce(bounce: Bounce, *, has_decay: bool) -> list[str]:
    advised = [
        "That is necessary, not sufficient, for a complex schedule (ABEL, cosine, steps) to gain "
        "over a constant rate with one late decay: a training set that can be memorised before the "
        "bounce needs none.",
        "Worth a run: js.Abel(decay_factor=0.2) on CIFAR, js.Abel(decay_factor=0.1) elsewhere, the "
        "learning rate as it is; expect its first decay when the norm has stopped growing.",
    ]
    if bounce.first_rise >= THRESHOLD:
        advised.append(
            "Set guard_rising=True: the norm rose first, and the paper's rule would take its first "
            "turn for the minimum."
        )
    if not has_decay:
        advised.append(
            "The paper's bounces come from weight decay, though, and here is none: its evidence "
            "does not cover this run."
        )
    return advised


def _on_the_rate(learning_rate: float, *, too_short: bool) -> str:
    """Why there is no bounce in spite of weight decay."""
    if too_short:
        return (
            f"The run was shorter: a learning rate as small as {learning_rate:g} may be why there "
            "is no bounce; a larger one or a longer run may show it."
        )
    return "The run was longer: the gradients outweigh the decay."


def _number(value: float) -> str:
    """Short: 3, 2.56, 1,000."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _falls_and_rises(norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At each time: how far below the largest norm before it, and the largest after it above it."""
    largest_before = np.maximum.accumulate(norms)
    largest_after = np.maximum.accumulate(norms[::-1])[::-1]
    return 1 - norms / largest_before, largest_after / norms - 1


def _checked(
    epochs: Sequence[float], squared_norms: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, once they make sense."""
    times, norms = np.asarray(epochs, np.float64), np.asarray(squared_norms, np.float64)
    if not len(times) == len(norms) > 0:
        raise ValueError(
            "a bounce needs one squared norm an epoch, the initial one first, got "
            f"{len(times)} epochs and {len(norms)} squared norms."
        )
    if not (np.diff(times) > 0).all():
        raise ValueError(f"a bounce needs epochs that grow, got {times.tolist()}.")
    wrong = ~(np.isfinite(norms) & (norms > 0))
    if wrong.any():
        raise ValueError(
            f"a bounce needs finite squared norms above 0, got {norms[wrong][0]} at epoch "
            f"{times[wrong][0]:g}; a run that diverges has no verdict, lower its learning rate."
        )
    return times, norms


def _require_numbers(
    learning_rate: float, momentum: float, weight_decay: float, steps_per_epoch: float
) -> None:
    """Refuses numbers out of their range."""
    if not learning_rate > 0:
        raise ValueError(f"advice needs a learning_rate above 0, got {learning_rate}.")
    if not 0 <= momentum < 1:
        raise ValueError(f"advice needs a momentum within [0, 1), got {momentum}.")
    if not weight_decay >= 0:
        raise ValueError(f"advice needs a weight_decay of at least 0, got {weight_decay}.")
    if not steps_per_epoch > 0:
        raise ValueError(f"advice needs steps_per_epoch above 0, got {steps_per_epoch}.")
