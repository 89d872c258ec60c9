"""Plateau: decays the learning rate when an evaluation stops improving."""

from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import as_float, require
from jaxsched.transforms.base import (
    as_count,
    holds,
    require_numbers,
    require_predicate,
    scale_updates,
)

Mode: TypeAlias = Literal["min", "max"]
ThresholdMode: TypeAlias = Literal["rel", "abs"]


class ScaleByPlateauState(NamedTuple):
    """State of `scale_by_plateau`: a few scalars."""

    count: jax.Array  # int32[], updates done
    scale: jax.Array  # f32[], the factor that the last update used
    best: jax.Array  # f32[], the best value observed; before it the largest f32 or its negative
    num_bad: jax.Array  # int32[], bad observations since the last improvement or decay
    cooldown_left: jax.Array  # int32[], coming observations that cannot count as bad


def scale_by_plateau(
    at: TimeFunction,
    *,
    factor: ArrayLike = 0.1,
    patience: ArrayLike = 10,
    threshold: ArrayLike = 1e-4,
    threshold_mode: ThresholdMode = "rel",
    cooldown: ArrayLike = 0,
    mode: Mode = "min",
    min_scale: ArrayLike = 0.0,
    eps: ArrayLike = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by a scale that decays when a value has stopped improving.

    It is torch's `ReduceLROnPlateau`: the same rule, names and defaults. Use it to decay a learning
    rate by the validation loss. The value is given to every update, `tx.update(updates, state,
    params, value=value)`, the same on every device, and is observed where `at` is true; the scale
    multiplies every update. It composes with any schedule, warm-up included. Put it after the
    learning rate, outside the momentum buffer.

    Formula, at each observation:
        better = value < best · (1 − threshold)     (rel, min; max: value > best · (1 + threshold))
                 value < best − threshold           (abs, min; max: value > best + threshold)
        best ← value, num_bad ← 0                    if better, else  num_bad ← num_bad + 1
        num_bad ← 0, cooldown_left ← cooldown_left − 1           if cooldown_left > 0
        if num_bad > patience:
            scale ← max(factor · scale, min_scale)   unless that is a step of eps or less
            num_bad ← 0,  cooldown_left ← cooldown

    So the first decay happens at bad observation number `patience` + 1;
    `optax.contrib.reduce_on_plateau` and Keras decay one earlier. NaN is never better. A decay is
    in force from the very update that observes it. Update 0 does not observe: there is nothing to
    evaluate yet.

    Args:
        at: which updates observe: a predicate over the update count, int32[] -> bool[], such as
            `every(steps_per_epoch)` or a plan's `is_epoch_start`.
        factor: the factor of the scale at each decay, between 0 and 1.
        patience: the number of bad observations that are tolerated before a decay.
        threshold: how much better a value must be to count as better.
        threshold_mode: "rel", a share of the best value, or "abs", in the value's own unit.
        cooldown: the number of observations after a decay that cannot count as bad.
        mode: "min" for a loss, "max" for an accuracy.
        min_scale: the lowest scale; torch's `min_lr` over its learning rate.
        eps: a decay that changes the scale by this or less is not made; torch's `eps` over its
            learning rate.

    Raises:
        ValueError: if a setting is no number or out of its range, a mode is unknown, `at` is no
            predicate, the value is no scalar, or it is negative in "rel" mode. A share of a
            negative best value points the wrong way, and torch's rule then never decays: use
            threshold_mode="abs". A traced value, as under `jit`, cannot be checked; torch's rule is
            applied.
        TypeError: if `update` is not given the value.

    Source:
        torch 2.13, `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> tx = js.scale_by_plateau(js.every(1), factor=0.5, patience=2)
        >>> state, scales = tx.init(jnp.zeros(1)), []
        >>> for loss in (9.0, 3.0, 3.0, 3.0, 3.0, 3.0):
        ...     updates, state = tx.update(jnp.ones(1), state, value=loss)
        ...     scales.append(float(updates[0]))
        >>> scales
        [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    _require_settings(factor, threshold, min_scale, eps)
    _require_whole("patience", patience)
    _require_whole("cooldown", cooldown)
    _require_one_of("threshold_mode", threshold_mode, ("rel", "abs"))
    _require_one_of("mode", mode, ("min", "max"))
    require_predicate(at, "scale_by_plateau")

    def observe(state: ScaleByPlateauState, value: jax.Array) -> ScaleByPlateauState:
        """Returns the state after an observation of this value."""
        bar = _bar(state.best, threshold, threshold_mode, mode)
        better = value < bar if mode == "min" else value > bar
        cooling = state.cooldown_left > 0
        num_bad = jnp.where(better | cooling, 0, state.num_bad + 1)
        decays = num_bad > as_count(patience)
        smaller = jnp.maximum(state.scale * as_float(factor), as_float(min_scale))
        takes_step = decays & (state.scale - smaller > as_float(eps))
        rest = state.cooldown_left - cooling.astype(jnp.int32)
        cooldown_left = jnp.where(decays, as_count(cooldown), rest)
        return state._replace(
            scale=jnp.where(takes_step, smaller, state.scale),
            best=jnp.where(better, value, state.best),
            num_bad=jnp.where(decays, 0, num_bad),
            cooldown_left=cooldown_left,
        )

    def init(params: optax.Params) -> ScaleByPlateauState:
        del params
        return _first_state(mode)

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        value: ArrayLike | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByPlateauState]:
        del params, extra_args
        value = _require_value(value, threshold_mode)
        count = state.count
        observes = holds(at, count) & (count > 0)
        state = jax.lax.cond(observes, lambda: observe(state, value), lambda: state)
        state = state._replace(count=optax.safe_increment(count))
        return scale_updates(updates, state.scale), state

    return optax.GradientTransformationExtraArgs(init, update)


def _first_state(mode: Mode) -> ScaleByPlateauState:
    """Returns the state before anything is observed."""
    # Any value is better than this. Not infinity, which `jax_debug_infs` takes for a fault.
    worst = float(jnp.finfo(jnp.float32).max) * (1 if mode == "min" else -1)
    return ScaleByPlateauState(
        count=jnp.zeros((), jnp.int32),
        scale=jnp.ones((), jnp.float32),
        best=jnp.full((), worst, jnp.float32),
        num_bad=jnp.zeros((), jnp.int32),
        cooldown_left=jnp.zeros((), jnp.int32),
    )


def _bar(
    best: jax.Array, threshold: ArrayLike, threshold_mode: ThresholdMode, mode: Mode
) -> jax.Array:
    """Returns what a value must be beyond to count as better than the best so far."""
    margin = (-1 if mode == "min" else 1) * threshold
    return best * as_float(1 + margin) if threshold_mode == "rel" else best + as_float(margin)


def _require_settings(
    factor: ArrayLike, threshold: ArrayLike, min_scale: ArrayLike, eps: ArrayLike
) -> None:
    """Raises `ValueError` if a setting is no number, or out of its range."""
    require_numbers(
        "scale_by_plateau", factor=factor, threshold=threshold, min_scale=min_scale, eps=eps
    )
    require(
        lambda factor: 0 < factor < 1,
        factor,
        message=f"scale_by_plateau needs a factor between 0 and 1, got factor={factor}; it "
        "multiplies, so a tenth is 0.1.",
    )
    require(
        lambda threshold: threshold >= 0,
        threshold,
        message=f"scale_by_plateau needs a threshold of at least 0, got threshold={threshold}.",
    )
    require(
        lambda min_scale: 0 <= min_scale < 1,
        min_scale,
        message=f"scale_by_plateau needs a min_scale from 0 to below 1, got min_scale={min_scale}; "
        "it is the lowest learning rate over the scheduled one.",
    )
    require(
        lambda eps: eps >= 0,
        eps,
        message=f"scale_by_plateau needs an eps of at least 0, got eps={eps}.",
    )


def _require_whole(name: str, number: ArrayLike) -> None:
    """Raises `ValueError` if a number of observations is not a whole number."""
    require_numbers("scale_by_plateau", **{name: number})
    require(
        lambda number: number >= 0 and number % 1 == 0,
        number,
        message=f"scale_by_plateau needs {name} to be a whole number of at least 0, got {number}.",
    )


def _require_one_of(name: str, choice: str, choices: tuple[str, str]) -> None:
    """Raises `ValueError` if a mode is unknown."""
    if choice not in choices:
        raise ValueError(f"scale_by_plateau needs {name} to be one of {choices}, got {choice!r}.")


def _require_value(value: ArrayLike | None, threshold_mode: ThresholdMode) -> jax.Array:
    """Returns the value in float32; raises if it is missing, no scalar, or negative ("rel")."""
    if value is None:
        raise TypeError(
            "scale_by_plateau needs the keyword argument 'value', the last evaluation; "
            "call tx.update(updates, state, params, value=value). TrainState.apply_gradients of "
            "Flax hands none on: call state.tx.update(grads, state.opt_state, state.params, "
            "value=value) and optax.apply_updates, then state.replace(params=…, opt_state=…, "
            "step=state.step + 1)."
        )
    if jnp.shape(value) != ():
        raise ValueError(
            "scale_by_plateau needs value to be a scalar, the same on every device, got one of "
            f"shape {jnp.shape(value)}; give its mean."
        )
    if threshold_mode == "rel" and not isinstance(value, Tracer):
        require(
            # Infinity stands for "no value yet", the worst in its mode.
            lambda value: not -np.inf < value < 0,
            np.asarray(value),
            message=f"scale_by_plateau needs values of at least 0 in 'rel' mode, got {value}: a "
            "share of a negative best value points the wrong way; use threshold_mode='abs'.",
        )
    return as_float(value)
