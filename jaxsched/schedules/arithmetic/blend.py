"""The transition from one value to another along a line or half a cosine wave."""

from typing import Any, Literal, TypeAlias, cast

import numpy as np

from jaxsched.schedules.arithmetic.moment import Values
from jaxsched.schedules.arithmetic.times import Number, as_float, is_known, namespace
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


def is_one(number: Number) -> bool:
    """Returns whether a number is known to be 1, so that nothing need be computed with it."""
    return is_known(number) and np.ndim(number) == 0 and bool(number == 1)


def require_positive(owner: str, **numbers: Number) -> None:
    """Raises `ValueError` if a number is not above 0; the error has its name."""
    for name, number in numbers.items():
        require(
            lambda number: number > 0,
            number,
            message=f"{owner} needs {name} above 0, got {name}={number}; 1 is the plain curve.",
        )


def raised(share: Values, rest: Values, power: Number) -> tuple[Values, Values]:
    """Raises a share to a power; returns it and 1 minus it, both accurate near 0.

    Args:
        share: a share in [0, 1].
        rest: 1 − share, computed so that it is accurate near 0.
        power: the exponent, above 0.
    """
    if is_one(power):
        return share, rest
    xp = namespace(share)
    exponent = np.float64(cast(Any, power)) if xp is np else as_float(power)
    # The inner `where` keeps the gradient with respect to the power finite at 0.
    some = share > 0
    result = xp.where(some, xp.where(some, share, 1.0) ** exponent, 0.0)
    # 1 − result has few accurate digits while the rest is small; expm1 has them all.
    little = rest < 0.5
    missing = -xp.expm1(exponent * xp.log1p(-xp.where(little, rest, 0.0)))
    return result, xp.where(little, missing, 1 - result)


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
