"""Refines the values of a grid by bisecting their exponent."""

import math
from collections.abc import Sequence


def bisect(name: str, values: Sequence[float], best: float) -> tuple[float, ...]:
    """Returns the values halfway, by exponent, between the best value and its neighbours.

    Formula:
        10^((log₁₀ best + log₁₀ neighbour) / 2), to three digits

    A momentum is bisected by 1 − momentum, because a gradient acts over 1 / (1 − momentum) updates.
    There is nothing between whole numbers, nor between the best value and a neighbour of 0.

    Args:
        name: the name of the values.
        values: the values tried so far.
        best: the best of them.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.4: 3e-4 after 1e-4 and 1e-3, because it bisects the exponent.

    Example:
        >>> from jaxsched.tune.grid.bisection import bisect
        >>> bisect("weight_decay", (1e-3, 1e-4, 1e-5), best=1e-4)
        (3.16e-05, 0.000316)
        >>> bisect("momentum", (0.9, 0.99), best=0.9)
        (0.9684,)
    """
    if not any(isinstance(value, float) for value in values):
        return ()
    ordered = sorted(values)
    index = ordered.index(best)
    neighbours = ordered[max(index - 1, 0) : index] + ordered[index + 1 : index + 2]
    halfway = (_halfway(name, best, neighbour) for neighbour in neighbours)
    return tuple(value for value in halfway if value is not None and value not in ordered)


def _halfway(name: str, one: float, other: float) -> float | None:
    if name == "momentum":
        complement = _halfway("1 - momentum", 1 - one, 1 - other)
        return None if complement is None else float(f"{1 - complement:.10g}")
    if not (one > 0 and other > 0):
        return None
    return float(f"{math.sqrt(one * other):.3g}")
