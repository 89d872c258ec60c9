"""Several schedules one after another."""

import itertools
import math
from typing import Any, cast

from jaxsched.schedules.arithmetic.moment import Moment, Values, is_scalar
from jaxsched.schedules.base import Schedule, ScheduleLike, Time, require_ascending, schedule
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.schedules.span import Span


@schedule
class Sequence(Schedule):
    """Combinator: runs one schedule after another, each on its own clock.

    Use it to join phases that restart their time. For a warm-up that leaves the schedule's clock
    alone see `Warmup`.

    Formula:
        parts[0](t)                           t < boundaries[0]
        parts[i](t − boundaries[i − 1])       boundaries[i − 1] ≤ t < boundaries[i]

    The update at t = boundary is the first of the next part, which sees time 0 there.

    Attributes:
        parts: the schedules, or any functions of time, in order.
        boundaries: the times at which each part but the first begins, in the unit of t and in
            ascending order; one fewer than parts.

    Raises:
        ValueError: if there is no part, the number of boundaries does not fit, they do not ascend,
            a part is not callable, or the warm-up of one does not end before the next begins.

    Source:
        `optax.join_schedules`, which silently accepts a wrong number of boundaries.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> ramp = js.Sequence((js.Linear(0.0, 1.0, 4), js.Exponential(1.0, 0.5)), boundaries=(4,))
        >>> ramp(jnp.array([0, 2, 4, 5]))
        Array([0. , 0.5, 1. , 0.5], dtype=float32)
    """

    parts: tuple[ScheduleLike, ...]
    boundaries: tuple[Time, ...]

    def __post_init__(self):
        parts = tuple(as_schedule("Sequence", part) for part in self.parts)
        object.__setattr__(self, "parts", parts)
        if len(self.boundaries) != len(parts) - 1:
            raise ValueError(
                f"Sequence needs one boundary between each two parts, {max(len(parts) - 1, 0)} for "
                f"these {len(parts)} parts, got {len(self.boundaries)}: {self.boundaries}."
            )
        require_ascending("Sequence", "boundaries", self.boundaries)
        for part, length in self._slots():
            if part.span().warm > length:
                raise ValueError(
                    f"Sequence needs parts whose warm-up ends before the next one begins, got "
                    f"{part} for a stretch of {length:g}; shorten it, or begin the next one later."
                )

    def span(self) -> Span:
        """See `Schedule.span`."""
        if not all(map(is_scalar, self.boundaries)):
            return Span()
        first, last = self.parts[0].span(), self.parts[-1].span()
        if not self.boundaries:
            return first
        boundaries = [float(cast(Any, boundary)) for boundary in self.boundaries]
        return Span(first.warm, min(first.turn, boundaries[0]), boundaries[-1] + last.end)

    def misfits(self, until: float) -> tuple[str, ...]:
        """See `Schedule.misfits`: parts that the next one cuts off, and parts after the run."""
        cut = tuple(
            f"Sequence cuts off a {type(part).__name__} of {part.span().end:g} after {length:g}."
            for part, length in self._slots()
            if length < part.span().end < math.inf
        )
        late = [float(cast(Any, b)) for b in self.boundaries if is_scalar(b) and b > until]
        if late and self.span().end == math.inf:
            cut += (f"Sequence has a part that begins at epoch {late[0]:g}, after the run.",)
        return cut

    def _slots(self) -> list[tuple[Schedule, float]]:
        """Returns each part but the last with the length of its stretch, where that is known."""
        if not all(map(is_scalar, self.boundaries)):
            return []
        boundaries = [0.0, *(float(cast(Any, boundary)) for boundary in self.boundaries)]
        lengths = [end - start for start, end in itertools.pairwise(boundaries)]
        return list(zip(cast(Any, self.parts), lengths, strict=False))

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        value = self.parts[0].at(now)
        for part, boundary in zip(self.parts[1:], self.boundaries, strict=True):
            later = part.at(now.since(boundary))
            value = now.xp.where(now.has_reached(boundary), later, value)
        return value
