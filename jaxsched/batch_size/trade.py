"""Trading learning-rate decay for batch growth, and back, while the noise stays what it was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np

from jaxsched.batch_size.example_time import ExampleTimeline, StepFunction, spans
from jaxsched.batch_size.trade_noise import (
    SIZES_OF_MODE,
    Hyperparams,
    KeptNoise,
    ScalingRule,
    TradeMode,
    require_one_of,
)
from jaxsched.batch_size.trade_sizes import (
    allowed_sizes,
    batch_size_cap,
    batch_size_steps,
    first_size,
    ideal_size,
    sizes_by_hand,
)
from jaxsched.optim.chain import Coupling, Setting
from jaxsched.plan import Phase, Plan
from jaxsched.schedules import Constant, Schedule
from jaxsched.schedules.function import as_schedule
from jaxsched.text import aligned_columns, first_to_last


@dataclass(frozen=True)
class Trade:
    """A recipe with the noise of another, and both side by side.

    Attributes:
        plan: phases and batch sizes.
        lr: learning rate, a schedule in epochs.
        momentum: a schedule in epochs.
        weight_decay: a schedule in epochs.
        reference: the recipe that was traded.
        ideal_sizes: by phase, the batch size that it would have begun with, had there been neither
            rounding nor a cap.
        noise: what was kept.

    Example:
        >>> import jaxsched as js
        >>> traded = js.trade(js.Step(0.4, every=1, factor=0.25), batch_size=10, epochs=3,
        ...     num_examples=1000, max_batch_size=100)
        >>> print(traded.table())
        epochs  batch size  ideal    lr  momentum  weight decay  g before  g after  updates
        0 → 1           10          0.4         0             0        40       40      100
        1 → 2           40          0.4         0             0        10       10       25
        2 → 3          100    160  0.25         0             0       2.5      2.5       10
        300 updates before, 135 after: 2.2 times fewer.
    """

    plan: Plan
    lr: Schedule
    momentum: Schedule
    weight_decay: Schedule
    reference: Hyperparams
    ideal_sizes: tuple[float, ...]
    noise: "KeptNoise"

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the plan."""
        return self.plan.phases

    def table(self) -> str:
        """Both recipes as text, a row a phase; `a → b` is from its first update to its last."""
        name = self.noise.name
        heads = ["epochs", "batch size", "ideal", "lr", "momentum", "weight decay"]
        rows = [[*heads, f"{name} before", f"{name} after", "updates"]]
        after = Hyperparams(self.plan, self.lr, self.momentum, self.weight_decay)
        timeline = ExampleTimeline(self.plan)
        columns = [
            *map(timeline.values, (self.lr, self.momentum, self.weight_decay)),
            *map(self.noise.of, (self.reference, after)),
        ]
        for segment, ideal, (begin, end) in zip(
            self.plan.segments, self.ideal_sizes, spans(self.phases), strict=True
        ):
            updates = segment.end_step - segment.start_step
            last = segment.start_example + (updates - 1) * segment.batch_size
            size, ideal_size = str(segment.batch_size), f"{ideal:.0f}"
            rows.append(
                [
                    f"{float(begin):.6g} → {float(end):.6g}",
                    size,
                    ideal_size if ideal_size != size else "",
                    *(
                        first_to_last(column(np.array([segment.start_example, last])))
                        for column in columns
                    ),
                    str(updates),
                ]
            )
        before, now = self.reference.plan.total_steps, self.plan.total_steps
        fewer = f"{before / now:.2g} times fewer" if now < before else "no fewer"
        return f"{aligned_columns(rows)}\n{before} updates before, {now} after: {fewer}."


def trade(
    lr: Setting,
    *,
    batch_size: int | Sequence[Phase],
    epochs: float | None = None,
    num_examples: int,
    max_batch_size: int | None = None,
    mode: TradeMode = "batch",
    rule: ScalingRule = "sgd",
    exact: bool = False,
    momentum: Setting = 0.0,
    lr_factor: float = 1.0,
    new_momentum: float | None = None,
    weight_decay: Setting = 0.0,
    coupling: Coupling = "l2",
    weight_decay_per_epoch: bool = True,
    batch_sizes: Sequence[int] | None = None,
    multiple_of: int = 1,
) -> Trade:
    """Lets the batch grow where the learning rate would decay: the same noise, fewer updates.

    Formula:
        g = lr · N / (B (1 − momentum))      the same before and after, at every update
        L(t) = max over s ≤ t of q(s)/q(t)   how far q = lr / B has fallen, or q = lr / √B by rule
        ideal B(t) = B(0) · L(t)             · L(t)² by the rule "sqrt"

    Each update takes the largest allowed batch size up to the ideal one; what is left of the decay
    stays in the learning rate. In a warm-up, where the noise rises, the batch keeps its first size;
    in a cycle it may shrink again. Batch size and learning rate change at one and the same update,
    the first that starts where the reference has fallen far enough, to the example.

    The allowed sizes are the ideal ones where these are few (at most 8: a schedule that falls in
    steps), else doublings of the first; rounded down to `multiple_of` and cut at `max_batch_size`,
    which is the last of them.

    What stays the same, and how much of a fall of lr by α goes into the batch:

        "sgd"      lr / B;  all of it: B · α, and lr stays
        "sqrt"     lr / √B, as Adam's noise goes; all of it: B · α², and lr stays
        "seesaw"   lr / √B; half of it: B · α, and lr / √α

    A weight loses the share lr · weight_decay / ((1 − momentum) B) of itself an example with the
    coupling "l2", lr · weight_decay / B with "times_lr" and weight_decay / B with "independent".
    `weight_decay_per_epoch` keeps this: at five times the batch a weight decay of 1e-4 stays 1e-4
    with "l2" and "times_lr" by the rule "sgd" and becomes 5e-4 with "independent"; momentum 0.98
    for 0.9 with five times the batch makes it 5e-4 with "times_lr" too. When it is False all stay
    at 1e-4, and in the last two cases a weight loses a fifth an epoch of what it lost.

    Args:
        lr: learning rate of the reference, a schedule in epochs; times such as "50%" are of its
            run.
        batch_size: of the reference; or its phases, if that changes.
        epochs: how long the reference trains; None with phases, which say it.
        num_examples: N, the size of the training set.
        max_batch_size: the cap; None for N / 10, above which the noise no longer follows the rule.
        mode: "batch" for batch growth as long as there is room, "hybrid" for the first allowed
            growth alone and learning-rate decay from then on, "lr" for one batch size throughout,
            which turns a plan with growth back (the cap plays no part).
        rule: what is kept: "sgd", "sqrt" or "seesaw".
        exact: keep g with N / B − 1 in place of N / B, for "sgd" alone; batches grow as without it
            and the learning rate takes up the difference, 11 % at N / 10.
        momentum: of the reference, a schedule in epochs; kept.
        lr_factor: start at so many times the learning rate, and at a batch as many times larger
            (the square of it for "sqrt" and "seesaw").
        new_momentum: use this in place of `momentum`, and a batch larger by (1 − momentum) /
            (1 − new_momentum), at the same learning rate; numbers and "sgd" alone. The paper loses
            some accuracy by it.
        weight_decay: of the reference, a schedule in epochs.
        coupling: how the weight decay goes with the learning rate, see `SGD`.
        weight_decay_per_epoch: keep what the weight decay takes off a weight in an epoch; False
            keeps its number.
        batch_sizes: the allowed sizes by hand, ascending from the first batch's.
        multiple_of: what every batch size is a multiple of, such as the number of devices.

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
    require_one_of("mode", mode, tuple(SIZES_OF_MODE))
    require_one_of("coupling", coupling, get_args(Coupling))
    reference = _reference(lr, momentum, weight_decay, batch_size, epochs, num_examples)
    timeline = ExampleTimeline(reference.plan)
    _require_in_range(reference, timeline)
    noise = KeptNoise(rule, exact)
    slower = _slower(reference.momentum, new_momentum, rule)
    first = first_size(timeline, noise, lr_factor, slower, multiple_of)
    ideal = ideal_size(reference, noise, first)
    if batch_sizes is None:
        cap = batch_size_cap(
            first, max_batch_size, mode, multiple_of, noise, lr_factor, num_examples
        )
        sizes = allowed_sizes(ideal(timeline.grid), first, cap, multiple_of)
    else:
        largest = num_examples - exact if max_batch_size is None else max_batch_size
        sizes = sizes_by_hand(batch_sizes, first, largest, multiple_of)
    sizes = sizes[: SIZES_OF_MODE[mode]]
    size = batch_size_steps(timeline, sizes, ideal)
    plan = Plan(timeline.phases_of(size), num_examples)
    was = timeline.batch_size
    lr_factors = size.combined(was, lambda new, old: noise.factor(new, old, num_examples) * slower)
    decay_factors = _decay_factors(lr_factors, size, was, coupling, slower)
    return Trade(
        plan,
        timeline.scaled(reference.lr, lr_factors),
        reference.momentum if new_momentum is None else Constant(float(new_momentum)),
        timeline.scaled(reference.weight_decay, decay_factors)
        if weight_decay_per_epoch
        else reference.weight_decay,
        reference,
        tuple(ideal(np.array([round(b * num_examples) for b, _ in spans(plan.phases)])).tolist()),
        noise,
    )


def _reference(
    lr: Setting,
    momentum: Setting,
    weight_decay: Setting,
    batch_size: int | Sequence[Phase],
    epochs: float | None,
    num_examples: int,
) -> Hyperparams:
    """The recipe to trade, its times in epochs."""
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
    """A bare number as a constant, everything else as a schedule."""
    if isinstance(setting, int | float):
        return Constant(float(setting))
    return as_schedule("trade", setting)


def _require_in_range(reference: Hyperparams, timeline: ExampleTimeline) -> None:
    """Raises `ValueError` where the reference is no recipe: at the first epoch at which it is not.

    Infinite and missing numbers are refused as negative ones are.
    """
    for name, limit in (("lr", math.inf), ("momentum", 1.0), ("weight_decay", math.inf)):
        values = timeline.values(getattr(reference, name))(timeline.grid)
        wrong = ~((values >= 0) & (values < limit))
        if wrong.any():
            first = int(np.argmax(wrong))
            epoch = timeline.epochs(timeline.grid[first])
            raise ValueError(
                f"trade needs {name} within [0, {limit:g}) throughout, got {values[first]:g} at "
                f"epoch {epoch:g}."
            )
        if name == "lr" and not values.any():
            raise ValueError("trade needs an lr above 0 somewhere, got 0 throughout.")


def _slower(momentum: Schedule, new_momentum: float | None, rule: ScalingRule) -> float:
    """The new 1 − momentum as a multiple of the reference's."""
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


def _decay_factors(
    lr_factors: StepFunction,
    size: StepFunction,
    was: StepFunction,
    coupling: Coupling,
    slower: float,
) -> StepFunction:
    """What keeps a weight's loss an epoch as a factor of the weight decay."""
    growth = size.combined(was, np.divide)
    if coupling == "independent":
        return growth
    outside = growth.combined(lr_factors, np.divide)
    return outside if coupling == "times_lr" else outside._replace(values=outside.values * slower)
