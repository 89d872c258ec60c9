"""The times that decide whether a schedule fits into another one, or into a run."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxsched.schedules.arithmetic.moment import is_scalar


class Span(NamedTuple):
    """The turning times of a schedule, in its own unit; infinite for what never comes.

    Attributes:
        warm: the time at which its warm-up is over; 0 if it has none.
        turn: the time at which it first turns down, drops, or starts again.
        end: the time from which on it keeps its last value.
    """

    warm: float = 0.0
    turn: float = math.inf
    end: float = math.inf


def joint_span(spans: Iterable[Span]) -> Span:
    """Returns the span of several schedules at once; one without an end does not end them."""
    spans = list(spans)
    ends = [span.end for span in spans if span.end < math.inf]
    warm, turn = max(span.warm for span in spans), min(span.turn for span in spans)
    return Span(warm, turn, max(ends, default=math.inf))


def span_of(turn: Any, end: Any, warm: Any = 0) -> Span:
    """Returns the span of times that are known; one that is traced or has a unit never comes."""
    warm, turn, end = (
        float(time) if is_scalar(time) else unknown
        for time, unknown in ((warm, 0.0), (turn, math.inf), (end, math.inf))
    )
    return Span(warm, turn, end)
