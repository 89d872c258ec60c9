"""Averages of the weights during training: SWA, EMA and tail averages."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import ScheduleLike, require
from jaxsched.transforms.base import (
    holds,
    require_numbers,
    require_params,
    require_predicate,
)
from jaxsched.transforms.leaves import (
    accumulator_dtype,
    all_finite,
    is_inexact,
    times,
    updated_params,
)
from jaxsched.transforms.placement import passes_updates


@passes_updates
class AverageParamsState(NamedTuple):
    """State of `average_params`: one copy of the parameters and two counters."""

    count: jax.Array  # int32[], updates done
    num_averaged: jax.Array  # int32[], number of collected parameters in the mean
    # f32, or the parameters' dtype if wider; their structure and shapes; 0 while nothing is in it.
    mean: optax.Params


def average_params(
    at: TimeFunction,
    *,
    decay: ArrayLike | ScheduleLike | None = None,
    warm_up: bool = True,
    skip_nonfinite: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Keeps a running mean of the parameters and passes the updates through unchanged.

    Use it for stochastic weight averaging (SWA), exponential moving averages (EMA) or tail
    averages. It averages `params + updates`, the parameters that the update makes, so it must be
    the last of its chain; several of them may follow each other. Read the mean with
    `averaged_params`. Batch-norm statistics are not those of the averaged weights: recompute them
    with `recompute_batch_stats` before you evaluate the average.

    Formula, with n parameters in the mean so far:
        mean ← mean + (w − mean) / (n + 1)           decay None: all equal (SWA)
        mean ← mean + (w − mean) · (1 − d),          else: exponential (EMA), where d is 0 for n = 0
            d = min(decay, (1 + n) / (10 + n))       with warm-up
            d = decay                                without, as in torch's `AveragedModel`

    The smaller d of the warm-up lets the average forget the first parameters early: without it a
    decay of 0.999 still gives them 82 % of the mean after 200 updates. The mean is float32, or
    float64 or complex as the parameters are: in bfloat16 a decay of 0.9999 rounds to 1 and the mean
    would never move. Parameters that are no real or complex numbers, such as a counter or a random
    key, are not averaged. Memory: one float32 copy of the parameters. Updates that collect nothing
    compute only `optax.apply_updates`, which the compiler merges with your own.

    How to choose: SWA collects the weights at the end of each epoch of the last quarter of
    training, at a constant learning rate that is not too low. EMA collects at every update or every
    few, with a decay of 1 − 1/(updates to remember). A tail average is an `at` that starts late. As
    update `step` makes the weights after `step` + 1 updates, the ends of epochs from `start` on are

        lambda step: (step >= start) & every(steps_per_epoch)(step + 1)

    Args:
        at: which updates collect: a predicate over the update count, int32[] -> bool[].
        decay: the decay of the exponential average, between 0 and 1, or a schedule of it over the
            update count; None for equal weights.
        warm_up: whether the decay is smaller at the beginning.
        skip_nonfinite: whether weights of which one is infinite or NaN stay out of the mean, which
            would never forget them. The check reads the weights once more.

    Raises:
        ValueError: if the decay is no number and no schedule, or out of its range, `at` is no
            predicate, or `update` is not given the parameters.

    Source:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization"
        (arXiv 1803.05407), algorithm 1; the smaller decay at the beginning is that of
        `tf.train.ExponentialMovingAverage`.

    Example:
        >>> import jax.numpy as jnp, optax, jaxsched as js
        >>> tx = optax.chain(optax.sgd(0.5), js.average_params(lambda step: step >= 1))
        >>> w = jnp.array(2.0)
        >>> state = tx.init(w)
        >>> for _ in range(3):  # w is 1.5, 1.0, 0.5
        ...     updates, state = tx.update(jnp.ones(()), state, w)
        ...     w = optax.apply_updates(w, updates)
        >>> float(js.averaged_params(state, w))
        0.75
    """
    share_of_newest = _share_of_newest(decay, warm_up)
    require_predicate(at, "average_params")

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, AverageParamsState]:
        del extra_args
        params = require_params(params, "average_params")
        count = state.count
        # Outside the branch, the compiler merges this with the caller's own `apply_updates`. Inside
        # it, both the parameters and the updates would have to be kept in memory.
        newest = updated_params(params, updates)
        share = share_of_newest(count, state.num_averaged)
        collects = holds(at, count)
        if skip_nonfinite:
            collects &= all_finite(newest)
        state = jax.lax.cond(collects, lambda: with_newest(state, newest, share), lambda: state)
        return updates, state._replace(count=optax.safe_increment(count))

    return optax.GradientTransformationExtraArgs(empty_average, update)


def _share_of_newest(
    decay: ArrayLike | ScheduleLike | None, warm_up: bool
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Returns the function of the counts of updates and of averaged parameters, to a share."""
    if decay is None:
        return lambda count, n: equal_share(n)
    if not callable(decay):
        require_numbers("average_params", decay=decay)
        require(
            lambda decay: 0 < decay < 1,
            decay,
            message=f"average_params needs a decay between 0 and 1, got decay={decay}; "
            "use decay=None for equal weights.",
        )

    def share(count: jax.Array, num_averaged: jax.Array) -> jax.Array:
        # A number's 1 − d is computed before it is rounded: 1 − 0.9999 loses digits in float32.
        least = jnp.asarray(1 - (decay(count) if callable(decay) else decay)).astype(float)
        n = num_averaged.astype(float)
        newest = jnp.maximum(least, 9 / (10 + n)) if warm_up else least
        return jnp.where(n == 0, 1.0, newest)

    return share


def empty_average(params: optax.Params) -> AverageParamsState:
    """Returns the state with nothing in the mean."""
    return AverageParamsState(
        count=jnp.zeros((), jnp.int32),
        num_averaged=jnp.zeros((), jnp.int32),
        # Zeros rather than the parameters, because a buffer that is held twice cannot be donated.
        mean=zeros_to_add_to(params),
    )


def zeros_to_add_to(params: optax.Params) -> optax.Params:
    """Returns zeros of the parameters' structure and shapes, in the dtypes of sums over them."""
    return jax.tree.map(lambda w: jnp.zeros_like(w, dtype=accumulator_dtype(w)), params)


def equal_share(num_averaged: jax.Array) -> jax.Array:
    """Returns the share of the newest in a mean of equal weights: f32[], f64[] where JAX has it."""
    return 1 / (num_averaged.astype(float) + 1)


def with_newest(
    average: AverageParamsState, newest: optax.Params, share: jax.Array
) -> AverageParamsState:
    """Returns the average with these parameters in it too, at this share of the mean."""

    def moved(mean: jax.Array, w: Any) -> jax.Array:
        if not is_inexact(w):
            return mean
        # The rounding error of this form does not grow with the number of parameters averaged.
        newer = jnp.asarray(w).astype(mean.dtype)
        return mean + times(newer - mean, share)

    return average._replace(
        num_averaged=average.num_averaged + 1,
        mean=jax.tree.map(moved, average.mean, newest),
    )
