"""Warm-up into any schedule."""

from jaxsched.schedules.arithmetic.blend import Curve, half_wave, raised, require_positive
from jaxsched.schedules.arithmetic.moment import Moment, Values, as_moment
from jaxsched.schedules.base import (
    Number,
    Schedule,
    ScheduleLike,
    Time,
    later,
    require_duration,
    schedule,
    static,
)
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.schedules.span import Span, span_of


@schedule
class Warmup(Schedule):
    """Combinator: a warm-up that meets the schedule's own curve and then follows it.

    Use it for large batches, large learning rates, and Adam's first updates.

    Formula:
        start + (schedule(duration) − start) · c(t / duration)^power   for t < duration
        schedule(t)                                                    from then on

        linear c(u) = u,   cosine c(u) = ½(1 − cos πu)

    The schedule keeps its own clock: `Warmup(MultiStep(0.1, (30, 60)), 5)` still drops at 30 and
    60, and `Warmup(Cosine(0.1, 90), 5)` still ends at 90. The curve has no jump.

    Attributes:
        schedule: the schedule to warm up to, or any function of time.
        duration: the length of the warm-up, in the unit of t; 5 epochs is usual for large batches.
        start: the value at t = 0. The first update uses it, so with 0 that update changes nothing;
            warm-ups of the form "(t + 1) / W" start at peak / (number of warm-up updates).
        curve: "linear" or "cosine", which begins and ends flat.
        power: the power of the curve; above 1 it stays low for longer.

    Raises:
        ValueError: if the duration is negative, the power is not above 0, `schedule` is not
            callable, or it turns down, drops or ends before the warm-up is over, so that its height
            would never be reached.

    Source:
        Goyal et al., "Accurate, large minibatch SGD" (arXiv 1706.02677), section 2.2,
        for the straight line; the cosine is that of transformers' `get_wsd_schedule`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> warm = js.Warmup(js.Constant(0.4), duration=4, start=0.1)
        >>> warm(jnp.array([0, 2, 4, 100]))
        Array([0.1 , 0.25, 0.4 , 0.4 ], dtype=float32)
    """

    schedule: ScheduleLike
    duration: Time
    start: Number = 0.0
    curve: Curve = static(default="linear", since_later=True)
    power: Number = later(default=1.0)

    def __post_init__(self):
        object.__setattr__(self, "schedule", as_schedule("Warmup", self.schedule))
        require_duration("Warmup", self.duration)
        require_positive("Warmup", power=self.power)
        self._require_fit()

    def _require_fit(self) -> None:
        """Raises `ValueError` if the schedule turns or ends before the warm-up is over."""
        warm, (_, turn, end) = self.span().warm, self.schedule.span()
        if warm > turn or (warm and warm >= end >= turn):
            happens = f"ends at {end:g}" if end <= warm else f"turns at {turn:g}"
            raise ValueError(
                f"Warmup must be over before its schedule turns, got duration={warm:g} for a "
                f"{type(self.schedule).__name__} that {happens}; shorten the warm-up, or start the "
                "schedule after it: Sequence((Linear(0, peak, warmup), schedule), (warmup,))."
            )

    def span(self) -> Span:
        """See `Schedule.span`."""
        return self.schedule.span()._replace(warm=span_of(0, 0, warm=self.duration).warm)

    def misfits(self, until: float) -> tuple[str, ...]:
        """See `Schedule.misfits`."""
        return self.schedule.misfits(until)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        done, left = now.shares(self.duration)
        if self.curve == "cosine":
            done, left = half_wave(done), half_wave(left)
        done, left = raised(done, left, self.power)
        end = self.schedule.at(as_moment(self.duration, now.xp))
        ramp = now.number(self.start) * left + end * done
        return now.xp.where(now.has_reached(self.duration), self.schedule.at(now), ramp)
