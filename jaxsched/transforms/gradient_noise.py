"""The gradient noise scale, estimated from batches of two sizes: the batch size worth using."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxsched.schedules.base import as_float, require
from jaxsched.transforms.base import find_states, require_numbers, squared_norm
from jaxsched.transforms.placement import passes_updates


@passes_updates
class EstimateNoiseState(NamedTuple):
    """State of `estimate_noise`: a few scalars."""

    count: jax.Array  # int32[], updates in the means; those left out do not count
    weight: jax.Array  # f32[], 1 − decay^count, the divisor of the means when they are read
    squared_norm: jax.Array  # f32[], running mean of the estimates of |G|², from 0 on
    variance: jax.Array  # f32[], running mean of the estimates of tr Σ, from 0 on


class GradientNoise(NamedTuple):
    """The gradient noise scale and the two estimates whose quotient it is; see `gradient_noise`."""

    scale: jax.Array  # f32[], tr Σ / |G|², in examples
    squared_norm: jax.Array  # f32[], |G|², of the true gradient
    variance: jax.Array  # f32[], tr Σ, of one example's gradient, summed over the parameters


def estimate_noise(decay: ArrayLike = 0.95) -> optax.GradientTransformationExtraArgs:
    """Estimates the gradient noise scale and passes the updates through unchanged.

    Use it to find out which batch size is worth using, and how that changes over training. An
    update's gradient is the mean over B examples, made of small batches of b: micro-batches, or the
    shares of devices. The small batches' gradients are noisier; how much noisier separates the true
    gradient G from the covariance Σ of one example's gradient. Put the transformation first in the
    chain, where the updates still are the mean gradient, and give every update the rest:

        tx.update(updates, state, params, small_squared_norm=|G_b|², small_batch_size=b,
                  batch_size=B)

    with |G_b|² the mean over the small batches of their gradient's squared norm, the same on every
    device. Sizes may be traced and may change from update to update. Read the estimate with
    `gradient_noise`.

    Formula, at each update, both unbiased:
        tr Σ ≈ (|G_b|² − |G_B|²) / (1/b − 1/B)
        |G|² ≈ (B |G_B|² − b |G_b|²) / (B − b)  =  |G_B|² − tr Σ / B
        mean ← decay · mean + (1 − decay) · estimate,   read divided by 1 − decay^count
        scale = mean of tr Σ / mean of |G|²

    The two means are kept apart, because a mean of quotients of noisy numbers is biased and
    unbounded.

    How to read it: training takes about S·(1 + scale/B) updates and E·(1 + B/scale) examples, where
    S and E are the least that any batch size needs. Far below the scale, a batch that is k times as
    large needs 1/k of the updates and wastes nothing; at the scale both counts are twice their
    least; far above it more examples save next to no updates. The scale grows by one or two orders
    of magnitude as the loss falls. The theory takes the Hessian for a multiple of the identity, and
    larger batches than it suggests may still do no harm (arXiv 2505.23971): trust the order of
    magnitude and the trend.

    How to choose: the means weigh about the last 1/(1 − decay) updates, 20 at 0.95. The further B
    is below the scale, the more of an estimate of |G|² is chance: where `gradient_noise` jumps or
    is infinite, 0.99 or 0.999 is better; the scale changes slowly and so lags little.

    An update whose estimate is not finite is left out of the means, where it would stay for ever.
    This happens for a norm that overflowed, a gradient of NaN, or traced sizes that are equal (a
    single small batch contains no information). The updates pass through as they are, NaN or not.

    Args:
        decay: the decay of the running means, from 0 (the last estimate alone) to below 1.

    Raises:
        ValueError: if the decay is no number or out of its range, or `update` is given a norm or a
            size that is not a scalar, or a batch that is not larger than its small batches. Traced
            sizes, as under `jit`, cannot be checked.
        TypeError: if `update` is not given the norm and the sizes.

    Source:
        McCandlish et al., "An empirical model of large-batch training" (arXiv 1812.06162),
        appendix A.1.

    Example:
        >>> import jax.numpy as jnp, optax, jaxsched as js
        >>> tx = optax.chain(js.estimate_noise(), optax.sgd(0.1))
        >>> small = jnp.array([[3.0, 1.0], [1.0, 1.0]])  # mean gradients of two batches of 16
        >>> _, state = tx.update(
        ...     small.mean(axis=0),
        ...     tx.init(jnp.zeros(2)),
        ...     small_squared_norm=jnp.square(small).sum(axis=1).mean(),
        ...     small_batch_size=16,
        ...     batch_size=32,
        ... )
        >>> float(js.gradient_noise(state).scale)
        8.0
    """
    require_numbers("estimate_noise", decay=decay)
    require(
        lambda decay: 0 <= decay < 1,
        decay,
        message=f"estimate_noise needs a decay from 0 to below 1, got decay={decay}; "
        "1 - 1/(updates to remember) is usual.",
    )

    def init(params: optax.Params) -> EstimateNoiseState:
        del params
        return EstimateNoiseState(
            count=jnp.zeros((), jnp.int32),
            weight=jnp.zeros((), jnp.float32),
            squared_norm=jnp.zeros((), jnp.float32),
            variance=jnp.zeros((), jnp.float32),
        )

    def observe(
        state: EstimateNoiseState, squared_norm: jax.Array, variance: jax.Array
    ) -> EstimateNoiseState:
        """Returns the state with one more estimate in the means."""
        share = as_float(1 - decay)

        def with_newest(mean: jax.Array, newest: ArrayLike) -> jax.Array:
            return mean + share * (newest - mean)

        return state._replace(
            count=optax.safe_increment(state.count),
            weight=with_newest(state.weight, 1.0),
            squared_norm=with_newest(state.squared_norm, squared_norm),
            variance=with_newest(state.variance, variance),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        *,
        small_squared_norm: ArrayLike | None = None,
        small_batch_size: ArrayLike | None = None,
        batch_size: ArrayLike | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, EstimateNoiseState]:
        del params, extra_args
        estimates = _estimates(
            squared_norm(updates),
            *_require_observation(
                small_squared_norm=small_squared_norm,
                small_batch_size=small_batch_size,
                batch_size=batch_size,
            ),
        )
        is_finite = jnp.isfinite(jnp.stack(estimates)).all()
        return updates, optax.tree.where(is_finite, observe(state, *estimates), state)

    return optax.GradientTransformationExtraArgs(init, update)


def _estimates(
    squared_norm: jax.Array,
    small_squared_norm: jax.Array,
    small_batch_size: jax.Array,
    batch_size: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Estimates |G|² and tr Σ from the batches of one update."""
    # This is 1 / (1/b − 1/B) without that difference, in which float32 loses digits.
    effective_size = small_batch_size * (batch_size / (batch_size - small_batch_size))
    variance = (small_squared_norm - squared_norm) * effective_size
    return squared_norm - variance / batch_size, variance


def _require_observation(**given: ArrayLike | None) -> list[jax.Array]:
    """Returns the norm and the sizes in float32; raises if any is missing or impossible."""
    values = {name: value for name, value in given.items() if value is not None}
    if missing := [name for name in given if name not in values]:
        raise TypeError(
            f"estimate_noise needs the keyword arguments {missing}; call tx.update(updates, state, "
            "params, small_squared_norm=…, small_batch_size=…, batch_size=…), where TrainState's "
            "apply_gradients of Flax hands none on."
        )
    for name, value in values.items():
        if jnp.shape(value) != ():
            raise ValueError(
                f"estimate_noise needs {name} to be a scalar, the same on every device, got one of "
                f"shape {jnp.shape(value)}; small batches have one size, and the norm is their "
                "mean."
            )
    small, large = values["small_batch_size"], values["batch_size"]
    if not isinstance(small, Tracer) and not isinstance(large, Tracer):
        require(
            lambda small, large: 1 <= small < large,
            np.asarray(small),
            np.asarray(large),
            message="estimate_noise needs a batch_size above a small_batch_size of at least 1, "
            f"got batch_size={large} and small_batch_size={small}; make an update of two small "
            "batches or more.",
        )
    return [as_float(value) for value in values.values()]


def gradient_noise(opt_state: optax.OptState) -> GradientNoise:
    """Returns the gradient noise scale that `estimate_noise` keeps in this state.

    The state is found in any chain, however nested. Works under `jit`. Not to be confused with
    `noise_scale`, the size of the fluctuations that SGD adds at a learning rate and batch size.

    Chance may make either estimate negative. If |G|² is 0 or less and tr Σ positive, the scale is
    infinite: no gradient is visible in the noise. If tr Σ is 0 or less and |G|² positive, the scale
    is 0: no noise is visible. The two estimates are returned as they are.

    Args:
        opt_state: the state of any Optax optimizer with one `estimate_noise` in it.

    Returns:
        The scale in examples, and the estimates of |G|² and tr Σ, all f32[]; NaN before the first
        estimate. The scale is also NaN if neither estimate is positive.

    Raises:
        ValueError: if the state holds no estimate, or more than one.

    Example:
        >>> import jax.numpy as jnp, jaxsched as js
        >>> tx = js.estimate_noise()
        >>> js.gradient_noise(tx.init(jnp.zeros(2))).scale
        Array(nan, dtype=float32)
    """
    found = find_states(opt_state, EstimateNoiseState)
    if len(found) != 1:
        raise ValueError(
            f"gradient_noise needs a state with one estimate_noise in it, got {len(found)}; add "
            "estimate_noise() as the first of the chain, or give it the part of the state that you "
            "mean."
        )
    (state,) = found
    return GradientNoise(
        scale=jnp.maximum(state.variance, 0) / jnp.maximum(state.squared_norm, 0),
        squared_norm=state.squared_norm / state.weight,
        variance=state.variance / state.weight,
    )
