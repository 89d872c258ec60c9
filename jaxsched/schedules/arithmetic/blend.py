"""The transition from one value to another along a line or half a cosine wave."""

from typing import Literal, TypeAlias

import numpy as np

from jaxsched.schedules.arithmetic.moment import Values
from jaxsched.schedules.arithmetic.times import Number, namespace
from jaxsched.schedules.base import require

Curve: TypeAlias = Literal["linear", "cosine"]


def require_fall(owner: str, peak: Number, end: Number) -> None:
    """Raises `ValueError` if a schedule that falls from `peak` to `end` would rise."""
    require(
        lambda peak, end: end <= peak,
        peak,
        end,
        message=f"{owner} falls from peak to end, got peak={peak} and end={end}, which would rise; "
        "swap them, or use Warmup or Linear to rise.",
    )


def half_wave(share: Values) -> Values:
    """Computes ½(1 − cos(π · share)), accurate near share = 0."""
    xp = namespace(share)
    return xp.square(xp.sin(0.5 * np.pi * share))


def blend(first: Values, last: Values, done: Values, left: Values, curve: Curve) -> Values:
    """Goes from `first` (at done = 0) to `last` (at left = 0) along `curve`.

    Args:
        first: the value at the beginning.
        last: the value at the end.
        done: the share of the way that is over, in [0, 1].
        left: the share that is left, 1 − done, computed so that it is accurate near 0.
        curve: "linear" or "cosine".
    """
    if curve == "cosine":
        done, left = half_wave(done), half_wave(left)
    return first * left + last * done
