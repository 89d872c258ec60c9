"""Warmup-stable-decay."""

from typing import Any, Literal, TypeAlias, cast

from jaxsched.schedules.arithmetic.blend import half_wave, require_fall
from jaxsched.schedules.arithmetic.moment import Moment, Values
from jaxsched.schedules.arithmetic.times import is_known, namespace, subtract
from jaxsched.schedules.base import (
    Number,
    Schedule,
    Time,
    require,
    require_duration,
    schedule,
    static,
)
from jaxsched.schedules.span import Span, span_of

Cooldown: TypeAlias = Literal["linear", "1-sqrt", "cosine", "exponential", "1-square"]


def _remaining(shape: Cooldown, done: Values, left: Values) -> Values:
    """Computes the share of peak − end that remains, written so that it is accurate near 0."""
    if shape == "1-sqrt":
        # The inner `where` keeps the gradient finite at the beginning of the cool-down.
        xp = namespace(done)
        root = xp.sqrt(xp.where(done > 0, done, 1.0))
        return xp.where(done > 0, left / (1 + root), 1.0)
    if shape == "1-square":
        return left * (1 + done)
    return half_wave(left) if shape == "cosine" else left


@schedule
class WSD(Schedule):
    """Warmup-stable-decay: warms up to a peak, stays there, and cools down at the very end.

    Use it when the length of the run may still change: a cool-down can begin at any point of the
    stable stretch, so the run can be made longer without starting again.

    Formula:
        start + (peak − start) · t / warmup       t < warmup
        peak                                      up to duration − cooldown
        end + (peak − end) · f(u)                 u = the share of the cool-down that is over

        linear 1 − u,  1-sqrt 1 − √u,  cosine ½(1 + cos πu),  1-square 1 − u²,
        exponential peak · (end / peak)^u

    Attributes:
        peak: the value of the stable stretch.
        duration: the time at which `end` is reached, in the unit of t.
        cooldown: the length of the cool-down, in the unit of t; 10 to 20 % of the duration.
        warmup: the length of the warm-up, in the unit of t.
        end: the last value; "exponential" needs one above 0.
        start: the value at t = 0 if there is a warm-up.
        shape: the shape of the cool-down; "1-sqrt" did best in Hägele et al., "exponential" is
            MiniCPM's.

    Raises:
        ValueError: if a duration is negative, warm-up and cool-down together are longer than the
            run, `end` is above `peak`, or an exponential cool-down ends at 0.

    Source:
        Hu et al., "MiniCPM" (arXiv 2404.06395), section 4.2; Hägele et al., "Scaling laws and
        compute-optimal training beyond fixed training durations" (arXiv 2405.18392), equation 1.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> wsd = js.WSD(1.0, duration=100, cooldown=20, warmup=10, shape="linear")
        >>> wsd(jnp.array([0, 5, 10, 80, 90, 100]))
        Array([0. , 0.5, 1. , 1. , 0.5, 0. ], dtype=float32)
    """

    peak: Number
    duration: Time
    cooldown: Time
    warmup: Time = 0
    end: Number = 0.0
    start: Number = 0.0
    shape: Cooldown = static(default="1-sqrt")

    def __post_init__(self):
        for duration in (self.duration, self.cooldown, self.warmup):
            require_duration("WSD", duration)
        require(
            lambda duration, cooldown, warmup: warmup + cooldown <= duration,
            self.duration,
            self.cooldown,
            self.warmup,
            message=f"WSD needs warmup + cooldown <= duration, got warmup={self.warmup}, "
            f"cooldown={self.cooldown}, duration={self.duration}; shorten one of the two.",
        )
        require_fall("WSD", self.peak, self.end)
        if self.shape == "exponential":
            require(
                lambda end, peak: (end > 0) & (peak > 0),
                self.end,
                self.peak,
                message="WSD with an exponential cool-down never reaches 0, got "
                f"peak={self.peak} and end={self.end}; pass an end such as peak / 100.",
            )

    def span(self) -> Span:
        """See `Schedule.span`."""
        if not is_known(self.duration, self.cooldown):
            return Span()
        turn = cast(Any, self.duration) - self.cooldown
        return span_of(turn, self.duration, warm=self.warmup)

    def at(self, now: Moment) -> Values:
        """See `Schedule.at`."""
        peak, end = now.number(self.peak), now.number(self.end)
        warm, to_warm = now.shares(self.warmup)
        cooled = now.since(subtract(self.duration, self.cooldown))
        done, left = cooled.shares(self.cooldown)
        if self.shape == "exponential":
            cool = peak * (end / peak) ** done
        else:
            cool = end + (peak - end) * _remaining(self.shape, done, left)
        start = now.number(self.start)
        return now.xp.where(to_warm > 0, start * to_warm + peak * warm, cool)
