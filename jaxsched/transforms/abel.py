"""ABEL: decays the learning rate when the weight norm bounces."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import as_float, require
from jaxsched.transforms.base import (
    as_count,
    holds,
    require_numbers,
    require_params,
    require_predicate,
    scale_updates,
    squared_norm,
)
from jaxsched.transforms.leaves import is_bool, is_inexact

Mask: TypeAlias = Any | Callable[[optax.Params], Any]


class ScaleByAbelState(NamedTuple):
    """State of `scale_by_abel`: a few scalars."""

    count: jax.Array  # int32[], updates done
    scale: jax.Array  # f32[], the factor that the last update used
    squared_norm: jax.Array  # f32[], |w|² at the last measurement
    change: jax.Array  # f32[], change of |w|² between the last two measurements
    num_measurements: jax.Array  # int32[], without those that the dead band ignored
    num_decays: jax.Array  # int32[], with the unconditional last one
    reached_minimum: jax.Array  # bool[], whether the next bounce decays


def scale_by_abel(
    decay_factor: ArrayLike,
    at: TimeFunction,
    last_decay_at: ArrayLike | TimeFunction | None = None,
    *,
    mask: Mask | None = None,
    floor: ArrayLike = 0.0,
    dead_band: ArrayLike = 0.0,
    guard_rising: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by a scale that decays when the weight norm turns down after a bounce.

    Use it to decay a learning rate without choosing the times of the decays. With weight decay,
    |w|² of a network falls, turns, grows, and settles where gradient noise and decay balance; once
    it turns again, this learning rate has no more to give. Put it after the learning rate, outside
    the momentum buffer, so that a decay acts like a change of `lr`.

    Formula, algorithm 1 of the paper, at each measurement t:
        Δₜ = |wₜ|² − |wₜ₋₁|²
        if Δₜ · Δₜ₋₁ < 0:
            if reached_minimum:  scale ← decay_factor · scale,  reached_minimum ← False
            else:                reached_minimum ← True
        and at update last_decay_at, whatever the flag:  scale ← decay_factor · scale

    |w|² is measured in float32 on the parameters that `update` receives where `at` is true; at the
    first update of an epoch those are the weights at the end of the epoch before. A decay is in
    force from the very update that decides it. Update 0 is never measured: nothing is trained yet.
    Updates that do not measure cost one multiplication by a scalar. Parameters that are no real or
    complex numbers, such as a counter or a random key, do not count, and their updates pass.

    How to choose: use the base learning rate and the decay factor of a step schedule (the paper:
    0.2 on CIFAR, 0.1 elsewhere). Set `last_decay_at` to 85 % of the training; its place matters
    little. It marks the end of the run: to train longer, go on from a state before the last decay.
    Without weight decay the norm does not bounce, and the one late decay is all there is.

    The rule takes the first turn for a minimum. Where the norm may rise first (warm-up, a small
    learning rate), it would decay at minima from then on; `guard_rising` prevents that.

    Args:
        decay_factor: the factor of the scale at each decay, between 0 and 1.
        at: which updates measure: a predicate over the update count, int32[] -> bool[], such as
            `every(steps_per_epoch)` or a plan's `is_epoch_start`.
        last_decay_at: the update of the unconditional decay, or a predicate that is true at that
            update alone; None for none.
        mask: which parameters count in |w|²: a pytree of bools, of the parameters' structure or a
            prefix of it, or a function from parameters to such a pytree; None for all. A module of
            bools, which can be called, is a pytree of bools.
        floor: the lowest scale. The paper has none.
        dead_band: a measurement that differs from the last one by less than this share of it is
            ignored, as if not taken. So jitter is no bounce, while a slow drift adds up until it
            counts. The paper has none.
        guard_rising: if True, only a fall that turns into a rise sets the flag, and only a rise
            that turns into a fall decays. It is the paper's rule if the norm falls first.

    Raises:
        ValueError: if a setting is no number or out of its range, `at` is no predicate, the mask
            selects nothing of a whole tree of parameters, or `update` is not given the parameters.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), algorithm 1.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> tx = js.scale_by_abel(decay_factor=0.5, at=js.every(1))
        >>> state, scales = tx.init(jnp.zeros(1)), []
        >>> for w in (9.0, 3.0, 2.0, 4.0, 5.0, 4.5, 3.0):
        ...     updates, state = tx.update(jnp.ones(1), state, jnp.array([w]))
        ...     scales.append(float(updates[0]))
        >>> scales
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    _require_settings(decay_factor, last_decay_at, floor, dead_band)
    require_predicate(at, "scale_by_abel")
    is_last = _last_decay(last_decay_at)

    def decay(state: ScaleByAbelState) -> ScaleByAbelState:
        scale = jnp.maximum(state.scale * as_float(decay_factor), as_float(floor))
        return state._replace(scale=scale, num_decays=state.num_decays + 1)

    def measure(state: ScaleByAbelState, params: optax.Params) -> ScaleByAbelState:
        """Returns the state after a measurement of these parameters."""
        measured = squared_norm(_selected(params, mask))
        change = measured - state.squared_norm
        has_previous = state.num_measurements > 0
        ignored = has_previous & (jnp.abs(change) < as_float(dead_band) * state.squared_norm)
        is_minimum, is_maximum = _turns(state, change, guard_rising)
        new = state._replace(
            squared_norm=measured,
            change=jnp.where(has_previous, change, 0.0),
            num_measurements=state.num_measurements + 1,
            reached_minimum=(state.reached_minimum | is_minimum) & ~is_maximum,
        )
        return _select(ignored, state, _select(is_maximum, decay(new), new))

    def init(params: optax.Params) -> ScaleByAbelState:
        _require_selection(params, mask)
        return _first_state()

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, ScaleByAbelState]:
        del extra_args
        params = require_params(params, "scale_by_abel")
        count = state.count
        # Optax's wrappers that reset a state by arithmetic make a number of it.
        state = state._replace(reached_minimum=jnp.asarray(state.reached_minimum, jnp.bool_))
        measures = holds(at, count) & (count > 0)
        # A branch, so that only updates that measure pay for the norm.
        state = jax.lax.cond(measures, lambda: measure(state, params), lambda: state)
        if is_last is not None:
            state = _select(holds(is_last, count), decay(state), state)
        state = state._replace(count=optax.safe_increment(count))
        return scale_updates(updates, state.scale), state

    return optax.GradientTransformationExtraArgs(init, update)


def _first_state() -> ScaleByAbelState:
    """Returns the state before anything is measured."""
    return ScaleByAbelState(
        count=jnp.zeros((), jnp.int32),
        scale=jnp.ones((), jnp.float32),
        squared_norm=jnp.zeros((), jnp.float32),
        change=jnp.zeros((), jnp.float32),
        num_measurements=jnp.zeros((), jnp.int32),
        num_decays=jnp.zeros((), jnp.int32),
        reached_minimum=jnp.zeros((), jnp.bool_),
    )


def _turns(
    state: ScaleByAbelState, change: jax.Array, guard_rising: bool
) -> tuple[jax.Array, jax.Array]:
    """Returns whether the norm turns at its minimum here, and whether at the maximum after one."""
    # Signs are multiplied, because the product of two small changes may underflow to 0.
    turns = jnp.sign(change) * jnp.sign(state.change) < 0
    is_minimum = turns & ((change > 0) if guard_rising else ~state.reached_minimum)
    is_maximum = turns & state.reached_minimum & ((change < 0) if guard_rising else True)
    return is_minimum, is_maximum


def _require_settings(
    decay_factor: ArrayLike,
    last_decay_at: ArrayLike | TimeFunction | None,
    floor: ArrayLike,
    dead_band: ArrayLike,
) -> None:
    """Raises `ValueError` if a setting is no number, or out of its range."""
    require_numbers("scale_by_abel", decay_factor=decay_factor, floor=floor, dead_band=dead_band)
    require(
        lambda factor: 0 < factor < 1,
        decay_factor,
        message=f"scale_by_abel needs a decay_factor between 0 and 1, got {decay_factor}.",
    )
    require(
        lambda update: update >= 1 and update == int(update),
        last_decay_at,
        message="scale_by_abel needs last_decay_at to be a whole update count of at least 1, got "
        f"{last_decay_at}; for a time in epochs use the plan's first_step.",
    )
    require(
        lambda floor: 0 <= floor < 1,
        floor,
        message=f"scale_by_abel needs a floor from 0 to below 1, got {floor}; it is a share of "
        "the scheduled learning rate.",
    )
    require(
        lambda dead_band: 0 <= dead_band < 1,
        dead_band,
        message=f"scale_by_abel needs a dead_band from 0 to below 1, got {dead_band}; it is a "
        "share of |w|².",
    )


def _last_decay(last_decay_at: ArrayLike | TimeFunction | None) -> TimeFunction | None:
    """Returns the predicate of the unconditional decay; None for none."""
    if last_decay_at is None or callable(last_decay_at):
        return last_decay_at
    if is_bool(last_decay_at):
        require_predicate(last_decay_at, "scale_by_abel", "last_decay_at")
    require_numbers("scale_by_abel", last_decay_at=last_decay_at)
    return lambda count: jnp.equal(count, as_count(last_decay_at))


def _resolve_mask(mask: Mask | None, params: optax.Params) -> Any:
    """Returns the mask as a pytree of bools."""
    if mask is None:
        return jax.tree.map(lambda _: True, params)
    # A module of bools can be called as well.
    leaves = jax.tree.leaves(mask)
    is_pytree = leaves and all(is_bool(leaf) for leaf in leaves)
    return mask(params) if callable(mask) and not is_pytree else mask


def _selected(params: optax.Params, mask: Mask | None) -> list[Any]:
    """Returns the real and complex parameters that the mask selects."""
    if not jax.tree.leaves(params):
        return []  # the mask may be of other parameters, as in a group that has none

    def selection(selected: bool, subtree: Any) -> list[Any]:
        return jax.tree.leaves(subtree) if selected else []

    chosen = jax.tree.leaves(jax.tree.map(selection, _resolve_mask(mask, params), params))
    return [leaf for leaf in chosen if is_inexact(leaf)]


def _require_selection(params: optax.Params, mask: Mask | None) -> None:
    """Raises `ValueError` if a mask selects nothing of a whole tree, so that |w|² is always 0.

    A part of a tree, as under `optax.masked`, may be one that the mask is not about.
    """
    nodes = jax.tree.leaves(params, is_leaf=lambda node: isinstance(node, optax.MaskedNode))
    is_part = any(isinstance(node, optax.MaskedNode) for node in nodes)
    has_any = any(is_inexact(leaf) for leaf in jax.tree.leaves(params))
    if mask is not None and has_any and not is_part and not _selected(params, mask):
        raise ValueError(
            "scale_by_abel needs a mask that selects at least one parameter, got none; "
            "use mask=None for all of them. Under optax.inject_hyperparams, which calls every "
            "function, name mask in static_args."
        )


def _select(condition: jax.Array, chosen: Any, other: Any) -> Any:
    """Selects one of two states of the same structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), chosen, other)
