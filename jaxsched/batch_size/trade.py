"""Trading learning-rate decay for batch growth, and back, while the noise scale stays the same."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np

from jaxsched.batch_size.example_time import ExampleTimeline, StepFunction, phase_spans
from jaxsched.batch_size.momentum_lag import lagging_phases, momentum_lag, ramp
from jaxsched.batch_size.trade_noise import Hyperparams, KeptNoise, ScalingRule
from jaxsched.batch_size.trade_sizes import (
    allowed_batch_sizes,
    choose_batch_sizes,
    first_batch_size,
    ideal_batch_size,
    largest_batch_size,
    require_usable,
)
from jaxsched.optim.chain import Coupling, Setting
from jaxsched.plan import Phase, Plan
from jaxsched.schedules import Constant, Schedule
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.text import aligned_columns, first_to_last

TradeMode: TypeAlias = Literal["batch", "hybrid", "lr"]


@dataclass(frozen=True)
class Trade:
    """The hyperparameters of a run that keeps the noise scale of a reference run.

    Attributes:
        plan: phases and batch sizes.
        lr: learning rate, a schedule in epochs.
        momentum: a schedule in epochs.
        weight_decay: a schedule in epochs.
        reference: the hyperparameters of the reference.
        ideal_sizes: for each phase, the batch size that it would begin with if there were neither
            rounding nor a cap.
        noise: the quantity that was kept.

    Example:
        >>> import jaxsched as js
        >>> traded = js.trade(js.Step(0.4, every=1, factor=0.25), batch_size=10, epochs=3,
        ...     num_examples=1000, max_batch_size=100)
        >>> print(traded.table())
        epochs  batch size  ideal    lr  momentum  weight decay   lag  g before  g after  updates
        0 → 1           10          0.4         0             0  0.01        40       40      100
        1 → 2           40          0.4         0             0  0.04        10       10       25
        2 → 3          100    160  0.25         0             0   0.1       2.5      2.5       10
        300 updates before, 135 after: 2.2 times fewer.
    """

    plan: Plan
    lr: Schedule
    momentum: Schedule
    weight_decay: Schedule
    reference: Hyperparams
    ideal_sizes: tuple[float, ...]
    noise: KeptNoise

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the plan."""
        return self.plan.phases

    def table(self) -> str:
        """Both runs as a text table, a row a phase, and below it what is odd.

        `a → b` in a cell are the values at the phase's first update and at its last. The lag are
        the epochs that the velocity takes to build up, see `momentum_lag`.
        """
        name = self.noise.name
        heads = ["epochs", "batch size", "ideal", "lr", "momentum", "weight decay", "lag"]
        rows = [[*heads, f"{name} before", f"{name} after", "updates"]]
        after = Hyperparams(self.plan, self.lr, self.momentum, self.weight_decay)
        timeline = ExampleTimeline(self.plan)
        columns = [
            *map(timeline.by_example, (self.lr, self.momentum, self.weight_decay)),
            self._lag,
            *map(self.noise.by_example, (self.reference, after)),
        ]
        for segment, ideal, (begin, end) in zip(
            self.plan.segments, self.ideal_sizes, phase_spans(self.phases), strict=True
        ):
            updates = segment.end_step - segment.start_step
            first = segment.start_example
            ends = np.array([first, first + (updates - 1) * segment.batch_size])
            size, ideal_size = str(segment.batch_size), f"{ideal:.0f}"
            rows.append(
                [
                    f"{float(begin):.6g} → {float(end):.6g}",
                    size,
                    ideal_size if ideal_size != size else "",
                    *(first_to_last(column(ends)) for column in columns),
                    str(updates),
                ]
            )
        before, now = self.reference.plan.total_steps, self.plan.total_steps
        fewer = f"{before / now:.2g} times fewer" if now < before else "no fewer"
        updates = f"{before} updates before, {now} after: {fewer}."
        return "\n".join([aligned_columns(rows), updates, *self.cautions()])

    def cautions(self) -> tuple[str, ...]:
        """Returns a sentence on each phase of which the velocity takes long to build up."""
        found = lagging_phases(self.plan, self.momentum)
        if not found:
            return ()
        return (
            *(f"Caution: {phase.describe()}." for phase in found),
            "A smaller max_batch_size or new_momentum shortens it; with new_momentum, max_lag=0.25 "
            "raises momentum and batch step by step.",
        )

    def _lag(self, examples: np.ndarray) -> np.ndarray:
        timeline = ExampleTimeline(self.plan)
        momentum = timeline.by_example(self.momentum)(examples)
        return momentum_lag(timeline.batch_size(examples), self.plan.num_examples, momentum)


def trade(
    lr: Setting,
    *,
    batch_size: int | Sequence[Phase],
    epochs: float | None = None,
    num_examples: int,
    max_batch_size: int | None = None,
    mode: TradeMode = "batch",
    rule: ScalingRule = "sgd",
    momentum: Setting = 0.0,
    lr_factor: float = 1.0,
    new_momentum: float | None = None,
    max_lag: float | None = None,
    weight_decay: Setting = 0.0,
    coupling: Coupling = "l2",
    batch_sizes: Sequence[int] | None = None,
    multiple_of: int = 1,
) -> Trade:
    """Grows the batch where the learning rate would decay: the same noise scale, fewer updates.

    Formula:
        g = lr · N / (B (1 − momentum))      the same before and after, at every update
        L(t) = max over s ≤ t of q(s)/q(t)   how far q has decayed, q = lr / B (or lr / √B by rule)
        ideal B(t) = B(0) · L(t)             · L(t)² by the rule "sqrt"

    Each update takes the largest allowed batch size up to the ideal one; the rest of the decay
    stays in the learning rate. During a warm-up, where the noise rises, the batch keeps its first
    size; in a cyclic schedule it may shrink again. Batch size and learning rate change at the same
    update: the first that starts, to the example, where the reference has decayed far enough.

    The allowed sizes are the ideal ones if these are at most 8, as for a schedule that decays in
    steps; otherwise they are doublings of the first size. They are rounded down to `multiple_of`,
    and the last of them is `max_batch_size`.

    The rule says what stays the same, and how much of a decay of lr by α goes into the batch:

        "sgd"      lr / B;  all of it: B · α, and lr stays
        "sqrt"     lr / √B, the noise of Adam; all of it: B · α², and lr stays
        "seesaw"   lr / √B; half of it: B · α, and lr / √α

    Weight decay is adapted as well, so that it shrinks a weight by the same share in an epoch. The
    share for one example is lr · weight_decay / ((1 − momentum) B) with the coupling "l2",
    lr · weight_decay / B with "times_lr", and weight_decay / B with "independent". So with the rule
    "sgd" and five times the batch, a weight decay of 1e-4 stays 1e-4 with "l2" and "times_lr" and
    becomes 5e-4 with "independent"; where the batch is five times larger because momentum is 0.98
    in place of 0.9, it becomes 5e-4 with "times_lr" too. If you keep 1e-4 in these cases instead,
    a weight shrinks by a fifth of that share in an epoch.

    Args:
        lr: the reference's learning rate, a schedule in epochs; times such as "50%" are shares of
            the reference run.
        batch_size: the reference's batch size; or its phases, if the batch size changes.
        epochs: how long the reference trains; None if `batch_size` gives phases.
        num_examples: N, the size of the training set.
        max_batch_size: the cap; None for N / 10, above which the noise no longer follows the rule.
        mode: "batch" grows the batch as long as there is room; "hybrid" grows it once, to the
            second allowed size, and decays the learning rate from then on; "lr" keeps one batch
            size throughout, which turns batch growth back into decay (the cap plays no part).
        rule: the noise that is kept: "sgd", "sqrt" or "seesaw".
        momentum: the reference's momentum, a schedule in epochs; kept.
        lr_factor: start at this many times the learning rate, and at a batch larger by the same
            factor (by its square for "sqrt" and "seesaw").
        new_momentum: use this in place of `momentum`, and a batch larger by (1 − momentum) /
            (1 − new_momentum), at the same learning rate. Only for the rule "sgd" and a constant
            momentum. The paper loses some accuracy by it, because the velocity takes B / (N (1 −
            momentum)) epochs to build up.
        max_lag: with `new_momentum`, the largest share of the epochs done that the velocity may
            take to build up, such as 0.25. Momentum and batch then begin as without `new_momentum`
            and rise together, by doublings of the batch, so that the noise stays the same. By
            `SGD(…, rescale_velocity=True)` the velocity keeps its effect when the momentum rises;
            else it builds up anew at each step, but early, where that is short. None: both begin
            large.
        weight_decay: the reference's weight decay, a schedule in epochs.
        coupling: how weight decay and learning rate act together, see `SGD`.
        batch_sizes: the allowed sizes, ascending from the first batch's, where the hardware or a
            paper decides them.
        multiple_of: every batch size is a multiple of this, for example the number of devices.

    Returns:
        The plan and the schedules to train with.

    Raises:
        ValueError: when an argument is out of its range, or no plan can be made of them; the
            message has numbers that work.

    Source:
        Smith et al., "Don't decay the learning rate, increase the batch size" (arXiv 1711.00489),
        figure 5; "Seesaw" (arXiv 2510.14717).

    Example:
        >>> import jaxsched as js
        >>> traded = js.trade(js.MultiStep(0.1, (60, 120, 160), 0.2), momentum=0.9, batch_size=128,
        ...     epochs=200, num_examples=50_000, max_batch_size=5120)
        >>> traded.plan.total_steps, traded.plan.batch_sizes
        (29142, (128, 640, 3200, 5120))
        >>> traded.lr
        Sequence(parts=(Constant(value=0.1), Constant(value=0.032)), boundaries=(160,))
    """
    _require_one_of("mode", mode, get_args(TradeMode))
    _require_one_of("rule", rule, get_args(ScalingRule))
    _require_one_of("coupling", coupling, get_args(Coupling))
    reference = _reference(lr, momentum, weight_decay, batch_size, epochs, num_examples)
    timeline = ExampleTimeline(reference.plan)
    _require_in_range(reference, timeline)

    noise = KeptNoise(rule)
    momentum_factor = _momentum_factor(reference.momentum, new_momentum, rule)
    full = first_batch_size(timeline, noise, lr_factor, momentum_factor, multiple_of)
    rising = _rising_sizes(reference, timeline, full, max_lag, momentum_factor, mode)
    first, ideal = rising.values[0].item(), ideal_batch_size(reference, noise, rising)
    if batch_sizes is not None:
        largest = num_examples if max_batch_size is None else max_batch_size
        require_usable(batch_sizes, first, largest, multiple_of)
        allowed = list(batch_sizes)
    elif mode == "lr":
        allowed = [first]
    else:
        cap = largest_batch_size(full, max_batch_size, multiple_of, noise, lr_factor, num_examples)
        allowed = allowed_batch_sizes(ideal(timeline.grid), first, cap, multiple_of)
    allowed = allowed[: {"batch": None, "hybrid": 2, "lr": 1}[mode]]

    old_size, new_size = timeline.batch_size, choose_batch_sizes(timeline, allowed, ideal)
    plan = Plan(timeline.make_phases(new_size), num_examples)
    momentum_factors = rising._replace(values=momentum_factor * full / rising.values)
    lr_factors = new_size.combined(
        old_size, lambda new, old: noise.lr_factor(new, old, num_examples)
    ).combined(momentum_factors, np.multiply)
    decay_factors = _weight_decay_factors(
        lr_factors, new_size, old_size, coupling, momentum_factors
    )
    begins = np.array([round(begin * num_examples) for begin, _ in phase_spans(plan.phases)])
    return Trade(
        plan,
        timeline.scaled(reference.lr, lr_factors),
        _traded_momentum(reference, new_momentum, max_lag, momentum_factors),
        timeline.scaled(reference.weight_decay, decay_factors),
        reference,
        tuple(ideal(begins).tolist()),
        noise,
    )


def _require_one_of(name: str, value: Any, names: Sequence[str]) -> None:
    """Raises `ValueError` unless the value is one of the names."""
    if value not in names:
        raise ValueError(f"trade needs {name} to be one of {list(names)}, got {name}={value!r}.")


def _reference(
    lr: Setting,
    momentum: Setting,
    weight_decay: Setting,
    batch_size: int | Sequence[Phase],
    epochs: float | None,
    num_examples: int,
) -> Hyperparams:
    """The hyperparameters of the reference, all times in epochs."""
    if isinstance(batch_size, Sequence):
        if epochs is not None:
            raise ValueError(
                "trade needs no epochs beside phases, which say how long they last, got epochs="
                f"{epochs}; leave it out."
            )
        phases = tuple(batch_size)
    elif epochs is None:
        raise ValueError(
            f"trade needs the epochs of the reference, got batch_size={batch_size} alone; give "
            "epochs=90, say, or phases in place of the batch size."
        )
    else:
        phases = (Phase(epochs, batch_size),)
    plan = Plan(phases, num_examples)
    return Hyperparams(plan, *(plan.resolve(_schedule(s)) for s in (lr, momentum, weight_decay)))


def _schedule(setting: Setting) -> Schedule:
    """The setting as a schedule; a bare number becomes a constant."""
    if isinstance(setting, int | float):
        return Constant(float(setting))
    return as_schedule("trade", setting)


def _require_in_range(reference: Hyperparams, timeline: ExampleTimeline) -> None:
    """Raises `ValueError` at the first epoch where a schedule of the reference is out of range."""
    for name, limit in (("lr", math.inf), ("momentum", 1.0), ("weight_decay", math.inf)):
        values = timeline.by_example(getattr(reference, name))(timeline.grid)
        # Not `values < 0`, which NaN would pass.
        wrong = ~((values >= 0) & (values < limit))
        if wrong.any():
            first = int(np.argmax(wrong))
            epoch = timeline.grid[first] / timeline.num_examples
            raise ValueError(
                f"trade needs {name} within [0, {limit:g}) throughout, got {values[first]:g} at "
                f"epoch {epoch:g}."
            )
        if name == "lr" and not values.any():
            raise ValueError("trade needs an lr above 0 somewhere, got 0 throughout.")


def _momentum_factor(momentum: Schedule, new_momentum: float | None, rule: ScalingRule) -> float:
    """(1 − new momentum) / (1 − momentum)."""
    if new_momentum is None:
        return 1.0
    if not 0 <= new_momentum < 1:
        raise ValueError(f"trade needs new_momentum within [0, 1), got {new_momentum}.")
    if rule != "sgd" or not isinstance(momentum, Constant):
        raise ValueError(
            f"trade takes new_momentum with rule='sgd' and a number as momentum, got rule={rule!r} "
            f"and momentum={momentum}; leave new_momentum out."
        )
    return (1 - new_momentum) / (1 - cast(float, momentum.value))


def _traded_momentum(
    reference: Hyperparams,
    new_momentum: float | None,
    max_lag: float | None,
    factors: StepFunction,
) -> Schedule:
    """The momentum whose 1 − momentum is that of the reference times the factors."""
    if new_momentum is None:
        return reference.momentum
    if max_lag is None:
        return Constant(float(new_momentum))
    before = cast(float, cast(Constant, reference.momentum).value)
    risen = factors._replace(values=1 - (1 - before) * factors.values)
    return ExampleTimeline(reference.plan).as_schedule(risen)


def _rising_sizes(
    reference: Hyperparams,
    timeline: ExampleTimeline,
    full: int,
    max_lag: float | None,
    momentum_factor: float,
    mode: TradeMode,
) -> StepFunction:
    """The batch size that a rate without decay would have: the full one, or doublings up to it.

    Raises:
        ValueError: when `max_lag` is no share, or there is no rising momentum that it could slow.
    """
    if max_lag is None:
        return StepFunction.from_changes([(0, full)])
    if not 0 < max_lag <= 1:
        raise ValueError(f"trade needs max_lag within (0, 1], got max_lag={max_lag}.")
    if momentum_factor >= 1 or mode != "batch":
        raise ValueError(
            "trade takes max_lag with mode='batch' and a new_momentum above the reference's, got "
            f"mode={mode!r} and (1 - new_momentum) / (1 - momentum) = {momentum_factor:.6g}; leave "
            "max_lag out."
        )
    momentum = cast(float, cast(Constant, reference.momentum).value)
    first = round(full * momentum_factor)
    return ramp(first, full, momentum, max_lag, timeline.total_examples)


def _weight_decay_factors(
    lr_factors: StepFunction,
    new_size: StepFunction,
    old_size: StepFunction,
    coupling: Coupling,
    momentum_factors: StepFunction,
) -> StepFunction:
    """The factors of the weight decay that keep how far a weight shrinks in an epoch."""
    growth = new_size.combined(old_size, np.divide)
    if coupling == "independent":
        return growth
    factors = growth.combined(lr_factors, np.divide)
    if coupling == "times_lr":
        return factors
    return factors.combined(momentum_factors, np.multiply)
