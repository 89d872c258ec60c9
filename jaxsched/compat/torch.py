"""torch's learning-rate schedulers under torch's names, as schedules of the update count.

Put the learning rate where torch has the optimizer, and pass the result to Optax:
`torch.optim.lr_scheduler.StepLR(optimizer, 30)` is `js.compat.torch.StepLR(0.1, 30)`. The value at
step t is the learning rate that torch uses for update t, counted from 0, if `scheduler.step()` is
called after every update. There is no `last_epoch`, because a function of the step has no state to
resume. Only `ReduceLROnPlateau` is not a function of the step: it is an Optax transformation that
goes after the learning rate.

A schedule is one learning rate, so every number is one number, and every function one function.
Where torch takes a list, one entry for each group of parameters, make a schedule a group:

    tx = optax.partition(
        {name: optax.sgd(js.compat.torch.StepLR(lr, 30)) for name, lr in rates.items()}, labels
    )

In some corner cases torch's behaviour is of no use, and these functions differ from it:

- Chained schedulers are the product of their factors, so their order does not matter. In torch it
  matters if a member does not multiply (a cosine with an `eta_min`), and a member that sets the
  learning rate (LambdaLR, CyclicLR, OneCycleLR, warm restarts) overwrites the others.
- `OneCycleLR` keeps its last value. torch rises again on the call after the last update, and raises
  on the next; it also divides by zero if `pct_start · total_steps` is 1.
- `CosineAnnealingWarmRestarts` computes its restarts in integers, as torch does when it is stepped
  after every update. torch's `step(epoch)` finds the cycle by a float logarithm and misses some
  restarts.
- A phase of no length is over at once. torch's ConstantLR, LinearLR and PolynomialLR with
  `total_iters=0` stay at their first value for ever.
- `ReduceLROnPlateau` refuses a `min_lr` that is not below the learning rate, with which torch never
  decays. It multiplies the value of any schedule; in torch a scheduler that sets the learning rate
  (LambdaLR, CyclicLR, OneCycleLR, warm restarts) overwrites its decays.

`CosineAnnealingLR` is as in torch: it rises again after `T_max`, and with `eta_min` above the
learning rate it rises first. `Cosine` does neither.
"""

# ruff: noqa: N802 (the functions have torch's names)

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

import optax
from jax.typing import ArrayLike

from jaxsched import schedules as js
from jaxsched.compat.arguments import (
    require_choice,
    require_function,
    require_numbers,
    schedule_list,
    whole_number,
    whole_numbers,
)
from jaxsched.compat.torch_shapes import CumulativeProduct, Held, ScaledTriangle, ScaleMode
from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules import Schedule
from jaxsched.schedules.arithmetic.blend import Curve
from jaxsched.schedules.base import ScheduleLike, require
from jaxsched.transforms import scale_by_plateau

AnnealStrategy = Literal["cos", "linear"]
_CURVES: dict[str, Curve] = {"cos": "cosine", "linear": "linear"}


def _curve(owner: str, anneal_strategy: str) -> Curve:
    """Translates torch's annealing strategy; raises `ValueError` if it is unknown."""
    require_choice(owner, "anneal_strategy", anneal_strategy, tuple(_CURVES))
    return _CURVES[anneal_strategy]


def LambdaLR(lr: float, /, lr_lambda: Callable[[Any], ArrayLike]) -> Schedule:
    """Returns the schedule lr · lr_lambda(t).

    Args:
        lr: the base learning rate.
        lr_lambda: a function of the step, written with `jax.numpy` where it branches.

    Raises:
        ValueError: if lr is not one number, or lr_lambda not one function.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.LambdaLR(0.5, lambda epoch: 1 / (1 + epoch))(1)
        Array(0.25, dtype=float32)
    """
    require_numbers("LambdaLR", lr=lr)
    require_function("LambdaLR", "lr_lambda", lr_lambda)
    return js.Product((js.Constant(lr), lr_lambda))


def MultiplicativeLR(
    lr: float, /, lr_lambda: Callable[[int], float], *, total_steps: int
) -> Schedule:
    """Returns the schedule lr · lr_lambda(1) · … · lr_lambda(t).

    Args:
        lr: the base learning rate.
        lr_lambda: the factor of a step, an ordinary Python function.
        total_steps: the number of steps. torch needs no such number, because it multiplies step by
            step; a function of the step looks the product up in a table and keeps the last value
            after its end.

    Raises:
        ValueError: if lr is not one number, lr_lambda not one function, or total_steps not a whole
            number of at least 1.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.MultiplicativeLR(1.0, lambda epoch: 0.5, total_steps=10)(3)
        np.float32(0.125)
    """
    require_numbers("MultiplicativeLR", lr=lr)
    require_function("MultiplicativeLR", "lr_lambda", lr_lambda)
    total_steps = whole_number("MultiplicativeLR", "total_steps", total_steps, least=1)
    factors = tuple(float(lr_lambda(step)) for step in range(1, total_steps + 1))
    return CumulativeProduct(lr, factors)


def StepLR(lr: float, /, step_size: int, gamma: float = 0.1) -> Schedule:
    """Returns a `Step`.

    Raises:
        ValueError: if step_size is not a whole number of at least 1, or a number is not one number.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.StepLR(1.0, 30, gamma=0.5)
        Step(value=1.0, every=30, factor=0.5)
    """
    require_numbers("StepLR", lr=lr, gamma=gamma)
    return js.Step(lr, whole_number("StepLR", "step_size", step_size, least=1), gamma)


def MultiStepLR(lr: float, /, milestones: Iterable[int], gamma: float = 0.1) -> Schedule:
    """Returns a `MultiStep`.

    As in torch, the milestones may be in any order, and those below 0 have no effect.

    Raises:
        ValueError: if the milestones are not whole numbers, or a number is not one number.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.MultiStepLR(1.0, [60, 30])
        MultiStep(value=1.0, milestones=(30, 60), factor=0.1)
    """
    require_numbers("MultiStepLR", lr=lr, gamma=gamma)
    times = whole_numbers("MultiStepLR", "milestones", milestones)
    return js.MultiStep(lr, tuple(sorted(time for time in times if time >= 0)), gamma)


def ConstantLR(lr: float, /, factor: float = 1.0 / 3, total_iters: int = 5) -> Schedule:
    """Returns a schedule that is lr · factor before step total_iters, and lr from then on.

    Raises:
        ValueError: if the factor is outside [0, 1], total_iters is not a whole number of at least
            0, or a number is not one number.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.compat.torch.ConstantLR(1.0, 0.5, total_iters=4)(jnp.array([0, 3, 4]))
        Array([0.5, 0.5, 1. ], dtype=float32)
    """
    require_numbers("ConstantLR", lr=lr, factor=factor)
    total_iters = whole_number("ConstantLR", "total_iters", total_iters, least=0)
    _require_share("ConstantLR", "factor", factor)
    return js.Sequence((js.Constant(lr * factor), js.Constant(lr)), (total_iters,))


def LinearLR(
    lr: float,
    /,
    start_factor: float = 1.0 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> Schedule:
    """Returns a `Linear` from lr · start_factor to lr · end_factor.

    Raises:
        ValueError: if the start factor is outside (0, 1], the end factor outside [0, 1],
            total_iters is not a whole number of at least 0, or a number is not one number.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.LinearLR(0.5, start_factor=0.5, total_iters=4)
        Linear(start=0.25, end=0.5, duration=4)
    """
    require_numbers("LinearLR", lr=lr, start_factor=start_factor, end_factor=end_factor)
    total_iters = whole_number("LinearLR", "total_iters", total_iters, least=0)
    require(
        lambda start_factor: 0 < start_factor <= 1,
        start_factor,
        message=f"LinearLR needs a start_factor within (0, 1], as torch does, got {start_factor}; "
        "to rise from 0 use Linear or Warmup.",
    )
    _require_share("LinearLR", "end_factor", end_factor)
    return js.Linear(lr * start_factor, lr * end_factor, total_iters)


def _require_share(owner: str, name: str, share: float) -> None:
    """Raises `ValueError` if a number is outside [0, 1]."""
    require(
        lambda share: 0 <= share <= 1,
        share,
        message=f"{owner} needs {name} within [0, 1], got {name}={share}.",
    )


def ExponentialLR(lr: float, /, gamma: float) -> Schedule:
    """Returns an `Exponential`.

    Raises:
        ValueError: if a number is not one number.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.ExponentialLR(1.0, 0.95)
        Exponential(value=1.0, rate=0.95)
    """
    require_numbers("ExponentialLR", lr=lr, gamma=gamma)
    return js.Exponential(lr, gamma)


def PolynomialLR(lr: float, /, total_iters: int = 5, power: float = 1.0) -> Schedule:
    """Returns a `Polynomial` that ends at zero.

    Raises:
        ValueError: if total_iters is not a whole number of at least 0, or a number is not one
            number.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.PolynomialLR(1.0, 10, power=2.0)
        Polynomial(start=1.0, end=0.0, duration=10, power=2.0)
    """
    require_numbers("PolynomialLR", lr=lr, power=power)
    total_iters = whole_number("PolynomialLR", "total_iters", total_iters, least=0)
    return js.Polynomial(lr, 0.0, total_iters, power)


def CosineAnnealingLR(lr: float, /, T_max: int, eta_min: float = 0.0) -> Schedule:
    """Returns a cosine wave of period 2 · T_max, which rises again after T_max, as torch's does.

    For a cosine decay that keeps its last value use `Cosine`.

    Raises:
        ValueError: if T_max is not a whole number of at least 1, or a number is not one number.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.compat.torch.CosineAnnealingLR(1.0, T_max=10)(jnp.array([0, 10, 20]))
        Array([1., 0., 1.], dtype=float32)
    """
    require_numbers("CosineAnnealingLR", lr=lr, eta_min=eta_min)
    T_max = whole_number("CosineAnnealingLR", "T_max", T_max, least=1)
    return js.Cyclic(lr, eta_min, up=T_max, curve="cosine")


def CosineAnnealingWarmRestarts(
    lr: float, /, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> Schedule:
    """Returns a `CosineRestarts`.

    Raises:
        ValueError: if T_0 or T_mult is not a whole number of at least 1, or a number is not one
            number.

    Example:
        >>> import jaxsched as js
        >>> js.compat.torch.CosineAnnealingWarmRestarts(1.0, 10, T_mult=2)
        CosineRestarts(peak=1.0, first=10, multiplier=2, end=0.0)
    """
    owner = "CosineAnnealingWarmRestarts"
    require_numbers(owner, lr=lr, eta_min=eta_min)
    first = whole_number(owner, "T_0", T_0, least=1)
    return js.CosineRestarts(lr, first, whole_number(owner, "T_mult", T_mult, least=1), eta_min)


def CyclicLR(
    lr: float,
    /,
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[Any], ArrayLike] | None = None,
    scale_mode: ScaleMode = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> tuple[Schedule, Schedule | None]:
    """Returns a `Cyclic` learning rate and the momentum that goes with it.

    Args:
        lr: the optimizer's learning rate; it has no effect, as torch overwrites it with base_lr.
        base_lr: the lowest learning rate.
        max_lr: the highest learning rate of the first cycle.
        step_size_up: the number of updates from base_lr to max_lr.
        step_size_down: the number of updates back; None means the same as step_size_up.
        mode: "triangular", "triangular2" or "exp_range"; ignored if there is a scale_fn.
        gamma: the factor per update in mode "exp_range".
        scale_fn: the factor of the amplitude, a function written with `jax.numpy`.
        scale_mode: the argument of scale_fn: "cycle", counted from 1, or "iterations", the update,
            counted from 0.
        cycle_momentum: whether there is a momentum.
        base_momentum: the lowest momentum, at max_lr.
        max_momentum: the highest momentum, at base_lr.

    Returns:
        The learning rate and the momentum, which is None without cycle_momentum.

    Raises:
        ValueError: if a step size is not a whole number, of at least 1 up and 0 down, a choice is
            misspelt, scale_fn is not one function, or a number is not one number.

    Example:
        >>> import jaxsched as js
        >>> lr, momentum = js.compat.torch.CyclicLR(0.5, 0.5, 1.0, step_size_up=4)
        >>> lr(4), momentum(4)
        (np.float32(1.0), np.float32(0.8))
    """
    require_numbers("CyclicLR", lr=lr, base_lr=base_lr, max_lr=max_lr, gamma=gamma)
    require_numbers("CyclicLR", base_momentum=base_momentum, max_momentum=max_momentum)
    up = whole_number("CyclicLR", "step_size_up", step_size_up, least=1)
    if step_size_down is not None:
        step_size_down = whole_number("CyclicLR", "step_size_down", step_size_down, least=0)
    require_choice("CyclicLR", "scale_mode", scale_mode, get_args(ScaleMode))
    if scale_fn is None:
        require_choice("CyclicLR", "mode", mode, ("triangular", "triangular2", "exp_range"))
    else:
        require_function("CyclicLR", "scale_fn", scale_fn)

    def cyclic(base: float, peak: float) -> Schedule:
        if scale_fn is None:
            return js.Cyclic(base, peak, up, step_size_down, mode, gamma)
        down = up if step_size_down is None else step_size_down
        return ScaledTriangle(base, peak, up, down, scale_fn, scale_mode)

    momentum = cyclic(max_momentum, base_momentum) if cycle_momentum else None
    return cyclic(base_lr, max_lr), momentum


def OneCycleLR(
    lr: float,
    /,
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: AnnealStrategy = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> tuple[Schedule, Schedule | None]:
    """Returns torch's 1cycle learning rate and the momentum that goes with it.

    The peak is at update pct_start · total_steps − 1, and the last value at the last update. Our
    own `OneCycle` turns at pct_start · total_steps and ends after the last update.

    Args:
        lr: the optimizer's learning rate; it has no effect, as torch overwrites it.
        max_lr: the peak.
        total_steps: the number of updates; None means epochs · steps_per_epoch.
        epochs: the number of epochs.
        steps_per_epoch: the number of updates in an epoch.
        pct_start: the share of the updates during which the learning rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether there is a momentum.
        base_momentum: the lowest momentum, at the peak.
        max_momentum: the highest momentum.
        div_factor: max_lr / first learning rate.
        final_div_factor: first / last learning rate.
        three_phase: whether the first learning rate comes again before the last descent.

    Returns:
        The learning rate and the momentum, which is None without cycle_momentum.

    Raises:
        ValueError: if neither total_steps nor epochs with steps_per_epoch are given, one of them is
            not a whole number of at least 1, pct_start is outside [0, 1], a div_factor is not above
            0, the anneal_strategy is misspelt, or a number is not one number.

    Example:
        >>> import jaxsched as js
        >>> lr, momentum = js.compat.torch.OneCycleLR(0.1, max_lr=1.0, total_steps=10)
        >>> [round(float(lr(t)), 5) for t in (0, 1, 2, 3, 9)]
        [0.04, 0.52, 1.0, 0.95048, 0.0]
    """
    require_numbers("OneCycleLR", lr=lr, max_lr=max_lr, pct_start=pct_start)
    require_numbers("OneCycleLR", base_momentum=base_momentum, max_momentum=max_momentum)
    _require_share("OneCycleLR", "pct_start", pct_start)
    for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
        require_numbers("OneCycleLR", **{name: factor})
        require(
            lambda factor: factor > 0,
            factor,
            message=f"OneCycleLR needs a {name} above 0, got {name}={factor}.",
        )
    curve = _curve("OneCycleLR", anneal_strategy)
    total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
    last, turn = total_steps - 1, pct_start * total_steps - 1

    def cycle(first: float, second: float, third: float) -> Schedule:
        if not three_phase:
            return _pieces([(0, first), (turn, second), (last, third)], last, curve)
        return _pieces([(0, first), (turn, second), (2 * turn, first), (last, third)], last, curve)

    first_lr = max_lr / div_factor
    lrs = cycle(first_lr, max_lr, first_lr / final_div_factor)
    return lrs, cycle(max_momentum, base_momentum, max_momentum) if cycle_momentum else None


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """The number of updates of a 1cycle; raises `ValueError` if it is not known or not whole."""
    given = {"total_steps": total_steps, "epochs": epochs, "steps_per_epoch": steps_per_epoch}
    total, epochs, steps_per_epoch = (
        None if count is None else whole_number("OneCycleLR", name, count, least=1)
        for name, count in given.items()
    )
    if total is not None:
        return total
    if epochs is None or steps_per_epoch is None:
        raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch.")
    return epochs * steps_per_epoch


def _pieces(points: list[tuple[float, float]], last: int, curve: Curve) -> Schedule:
    """Interpolates through the points up to step `last`, and keeps the value reached there."""
    if points[1][0] <= 0:
        # No update is left for the rise: torch begins in the middle of the last fall.
        points = points[-2:]
    # torch may place later turns after the last update, where the curve must not continue.
    until = next(i for i, (time, _) in enumerate(points) if time >= last)
    whole = js.Interpolate(tuple(points[: until + 1]), curve)
    if points[until][0] == last:
        return whole
    return Held(whole, last)


def SequentialLR(
    lr: float, /, schedulers: Sequence[ScheduleLike], milestones: Sequence[int]
) -> Schedule:
    """Returns a `Sequence`: every scheduler starts again from its own base at its milestone.

    Args:
        lr: the optimizer's learning rate; it has no effect, as the schedulers hold theirs.
        schedulers: schedules of this module, built with the same learning rate.
        milestones: the steps at which each scheduler but the first begins.

    Raises:
        ValueError: if a scheduler is not a schedule, a milestone is not a whole number of at least
            0, or there are not as many milestones as changes of scheduler, in ascending order.

    Example:
        >>> import jaxsched as js
        >>> torch = js.compat.torch
        >>> parts = [torch.ConstantLR(1.0, 0.5, 2), torch.ExponentialLR(1.0, 0.5)]
        >>> torch.SequentialLR(1.0, parts, milestones=[4])(5)
        np.float32(0.5)
    """
    require_numbers("SequentialLR", lr=lr)
    parts = schedule_list("SequentialLR", schedulers)
    return js.Sequence(parts, whole_numbers("SequentialLR", "milestones", milestones, least=0))


def ChainedScheduler(lr: float, /, schedulers: Sequence[ScheduleLike]) -> Schedule:
    """Returns lr times the product of the factors by which each scheduler differs from lr.

    Args:
        lr: the base learning rate with which all the schedulers were built.
        schedulers: schedules of this module.

    Raises:
        ValueError: if lr is not one number above 0, there is no scheduler, or one is not a
            schedule.

    Example:
        >>> import jaxsched as js
        >>> torch = js.compat.torch
        >>> parts = [torch.ConstantLR(0.5, 0.5, 2), torch.ExponentialLR(0.5, 0.5)]
        >>> torch.ChainedScheduler(0.5, parts)(1)
        np.float32(0.125)
    """
    require_numbers("ChainedScheduler", lr=lr)
    require(
        lambda lr: lr > 0,
        lr,
        message=f"ChainedScheduler needs a learning rate above 0, got lr={lr}; a scheduler's "
        "factor is its value divided by lr.",
    )
    parts = schedule_list("ChainedScheduler", schedulers)
    factors = (js.Product((part, js.Constant(1 / lr))) for part in parts)
    return js.Product((js.Constant(lr), *factors))


def SWALR(
    lr: float,
    /,
    swa_lr: float,
    anneal_epochs: int = 10,
    anneal_strategy: AnnealStrategy = "cos",
) -> Schedule:
    """Returns a schedule from lr to swa_lr in anneal_epochs steps, counted from its own start.

    Args:
        lr: the learning rate at the time when averaging starts.
        swa_lr: the learning rate while weights are averaged.
        anneal_epochs: the number of steps from lr to swa_lr.
        anneal_strategy: "cos" or "linear".

    Raises:
        ValueError: if anneal_epochs is not a whole number of at least 0, the anneal_strategy is
            misspelt, or a number is not one number.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> js.compat.torch.SWALR(1.0, 0.5, 2, "linear")(jnp.array([0, 1, 2, 3]))
        Array([1.  , 0.75, 0.5 , 0.5 ], dtype=float32)
    """
    require_numbers("SWALR", lr=lr, swa_lr=swa_lr)
    anneal_epochs = whole_number("SWALR", "anneal_epochs", anneal_epochs, least=0)
    curve = _curve("SWALR", anneal_strategy)
    return js.Interpolate(((0, lr), (anneal_epochs, swa_lr)), curve)


def ReduceLROnPlateau(
    lr: float,
    /,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
    *,
    at: TimeFunction,
) -> optax.GradientTransformationExtraArgs:
    """Returns `scale_by_plateau`, an Optax transformation; put it after the learning rate.

    The value that torch's user passes to `scheduler.step(value)` is given to every update, as
    `value=`, and is observed where `at` is true. For an evaluation after each epoch of 391 updates:

        plateau = js.compat.torch.ReduceLROnPlateau(lr, at=js.every(391), patience=5)
        tx = optax.chain(optax.sgd(lr), plateau)
        updates, state = tx.update(gradients, state, params, value=loss)

    Formula:
        scale_by_plateau(at, …, min_scale=min_lr / lr, eps=eps / lr)

    Args:
        lr: the base learning rate, of which min_lr and eps become shares; if the chain has a
            schedule, the learning rate to which it warms up.
        mode: "min" for a loss, "max" for an accuracy.
        factor: the factor of the learning rate at each decay, between 0 and 1.
        patience: the number of bad values that are tolerated before a decay.
        threshold: how much better a value must be to count as better.
        threshold_mode: "rel", a share of the best value, or "abs", in the value's own unit.
        cooldown: the number of values after a decay that cannot count as bad.
        min_lr: the lowest learning rate.
        eps: a decay that changes the learning rate by this or less is not made.
        at: the updates before which torch's user calls `scheduler.step(value)`: a predicate over
            the update count, int32[] -> bool[]. Update 0 never observes.

    Raises:
        ValueError: if lr is not above 0, min_lr is negative or not below lr, eps is negative,
            patience or cooldown is not a whole number of at least 0, a mode is misspelt, a number
            is not one number, or `scale_by_plateau` refuses the rest.

    Example:
        >>> import jax.numpy as jnp, optax, jaxsched as js
        >>> plateau = js.compat.torch.ReduceLROnPlateau(0.5, "min", 0.5, 1, at=js.every(1))
        >>> tx = optax.chain(optax.sgd(0.5), plateau)
        >>> state, steps = tx.init(jnp.ones(())), []
        >>> for loss in (9.0, 3.0, 3.0, 3.0, 3.0):
        ...     updates, state = tx.update(jnp.ones(()), state, value=loss)
        ...     steps.append(float(updates))
        >>> steps
        [-0.5, -0.5, -0.5, -0.25, -0.25]
    """
    owner = "ReduceLROnPlateau"
    require_numbers(owner, lr=lr, factor=factor, threshold=threshold, min_lr=min_lr, eps=eps)
    patience = whole_number(owner, "patience", patience, least=0)
    cooldown = whole_number(owner, "cooldown", cooldown, least=0)
    require_choice(owner, "mode", mode, ("min", "max"))
    require_choice(owner, "threshold_mode", threshold_mode, ("rel", "abs"))
    require(
        lambda lr: lr > 0,
        lr,
        message=f"ReduceLROnPlateau needs a learning rate above 0, got lr={lr}; min_lr and eps are "
        "divided by it.",
    )
    require(
        lambda min_lr, lr: 0 <= min_lr < lr,
        min_lr,
        lr,
        message=f"ReduceLROnPlateau needs a min_lr from 0 to below the learning rate lr={lr}, got "
        f"min_lr={min_lr}; from lr on nothing would ever decay: lower it, or leave "
        "ReduceLROnPlateau out.",
    )
    require(
        lambda eps: eps >= 0,
        eps,
        message=f"ReduceLROnPlateau needs an eps of at least 0, got eps={eps}.",
    )
    return scale_by_plateau(
        at,
        factor=factor,
        patience=patience,
        threshold=threshold,
        threshold_mode=threshold_mode,
        cooldown=cooldown,
        mode=mode,
        min_scale=min_lr / lr,
        eps=eps / lr,
    )
