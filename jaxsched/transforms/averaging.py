"""Averages of the weights during training: SWA, EMA and tail averages."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import require
from jaxsched.transforms.base import (
    holds,
    require_numbers,
    require_params,
    require_predicate,
)
from jaxsched.transforms.leaves import (
    accumulator_dtype,
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
    at: TimeFunction, *, decay: ArrayLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Keeps a running mean of the parameters and passes the updates through unchanged.

    Use it for stochastic weight averaging (SWA), exponential moving averages (EMA) or tail
    averages. It averages `params + updates`, the parameters that the update makes, so it must be
    the last of its chain. Read the mean with `averaged_params`. Batch-norm statistics are not those
    of the averaged weights: recompute them before you evaluate the average.

    Formula, with n parameters in the mean so far:
        mean ← mean + (w − mean) / (n + 1)                 decay None: all equal (SWA)
        mean ← mean + (w − mean) · (1 − d),                else: exponential (EMA)
            d = min(decay, (1 + n) / (10 + n)),  and 0 for n = 0

    The smaller d at the beginning lets the average forget the first parameters early. The mean is
    float32, or float64 or complex as the parameters are: in bfloat16 a decay of 0.9999 rounds to 1
    and the mean would never move. Parameters that are no real or complex numbers, such as a counter
    or a random key, are not averaged. Memory: one float32 copy of the parameters. Updates that
    collect nothing compute only `optax.apply_updates`, which the compiler merges with your own.

    How to choose: SWA collects the weights at the end of each epoch of the last quarter of
    training, at a constant learning rate that is not too low. EMA collects at every update or every
    few, with a decay of 1 − 1/(updates to remember). A tail average is an `at` that starts late. As
    update `step` makes the weights after `step` + 1 updates, the ends of epochs from `start` on are

        lambda step: (step >= start) & every(steps_per_epoch)(step + 1)

    Args:
        at: which updates collect: a predicate over the update count, int32[] -> bool[].
        decay: the decay of the exponential average, between 0 and 1; None for equal weights.

    Raises:
        ValueError: if the decay is no number or out of its range, `at` is no predicate, or `update`
            is not given the parameters.

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
    if decay is not None:
        require_numbers("average_params", decay=decay)
        require(
            lambda decay: 0 < decay < 1,
            decay,
            message=f"average_params needs a decay between 0 and 1, got decay={decay}; "
            "use decay=None for equal weights.",
        )
    require_predicate(at, "average_params")

    def share_of_newest(num_averaged: jax.Array) -> jax.Array:
        if decay is None:
            return equal_share(num_averaged)
        n = num_averaged.astype(float)
        # This is 1 − d without computing d, because 1 − 0.9999 loses digits in float32.
        least = jnp.asarray(1 - decay).astype(float)
        return jnp.where(n == 0, 1.0, jnp.maximum(least, 9 / (10 + n)))

    def collect(state: AverageParamsState, newest: optax.Params) -> AverageParamsState:
        """Returns the state with these parameters in the mean."""
        return with_newest(state, newest, share_of_newest(state.num_averaged))

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
        state = jax.lax.cond(holds(at, count), lambda: collect(state, newest), lambda: state)
        return updates, state._replace(count=optax.safe_increment(count))

    return optax.GradientTransformationExtraArgs(empty_average, update)


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
