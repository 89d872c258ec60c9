"""The gradient noise scale: how large a batch the gradient is worth, from batches of two sizes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxsched.schedules.base import as_float, require
from jaxsched.transforms.base import find_states, squared_norm


class EstimateNoiseState(NamedTuple):
    """What the estimate remembers: a few scalars."""

    count: jax.Array  # int32[], updates in the means; those left out do not count
    weight: jax.Array  # f32[], 1 − decay^count, by which the means are divided when read
    squared_norm: jax.Array  # f32[], running mean of the estimates of |G|², begun at 0
    variance: jax.Array  # f32[], running mean of the estimates of tr Σ, begun at 0


class GradientNoise(NamedTuple):
    """The gradient noise scale and what it is the quotient of; see `gradient_noise`."""

    scale: jax.Array  # f32[], tr Σ / |G|², in examples
    squared_norm: jax.Array  # f32[], |G|², of the true gradient
    variance: jax.Array  # f32[], tr Σ, of one example's gradient, summed over the parameters


def estimate_noise(decay: ArrayLike = 0.95) -> optax.GradientTransformationExtraArgs:
    """Estimates the gradient noise scale and passes the updates through.

    An update's gradient is the mean over B examples, made of small batches of b: micro-batches, or
    the shares of devices. The small ones are noisier, and how much so tells the true gradient G
    from the covariance Σ of one example's gradient. Put it first in the chain, where the updates
    still are that mean, and give every update the rest:

        tx.update(updates, state, params, small_squared_norm=|G_b|², small_batch_size=b,
                  batch_size=B)

    with |G_b|² the mean over the small batches of their gradient's squared norm, the same on every
    device. Sizes may be traced and may change from update to update. Read the estimate with
    `gradient_noise`.

    Formula, at each update, both free of bias:
        tr Σ ≈ (|G_b|² − |G_B|²) / (1/b − 1/B)
        |G|² ≈ (B |G_B|² − b |G_b|²) / (B − b)  =  |G_B|² − tr Σ / B
        mean ← decay · mean + (1 − decay) · estimate,   read divided by 1 − decay^count
        scale = mean of tr Σ / mean of |G|²

    The means are taken apart, because a mean of quotients of noisy numbers has a bias, and no
    bound.

    What it says: training takes about S·(1 + scale/B) updates and E·(1 + B/scale) examples, with S
    and E the least that any batch needs. Far below the scale a larger batch saves as many updates
    as it is larger and wastes nothing; at the scale both are twice their least; far above it more
    examples save next to no updates. The scale grows by one or two orders of magnitude as the
    loss falls. It takes the Hessian for a multiple of the identity, and larger batches than it says
    may still do no harm (arXiv 2505.23971): trust its order of magnitude and its trend.

    How to choose: the means weigh about the last 1/(1 − decay) updates, 20 at 0.95. The further B
    is below the scale, the more of an estimate of |G|² is chance: where `gradient_noise` jumps or
    is infinite, 0.99 or 0.999 is better, and the scale, which changes slowly, lags little.

    An update whose estimate is not finite is left out of the means, where it would stay for ever:
    a norm that overflowed, a gradient of NaN, or traced sizes that are equal (one small batch tells
    nothing). The updates pass through as they are, NaN or not.

    Args:
        decay: of the running means, from 0, the last estimate alone, to below 1.

    Raises:
        ValueError: when the decay is out of its range, or `update` is given a norm or a size that
            is no scalar, or a batch that is not larger than its small ones. Sizes that are traced,
            as under `jit`, cannot be refused.
        TypeError: when `update` is not given the norm and the sizes.

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

    def observed(
        state: EstimateNoiseState, squared_norm: jax.Array, variance: jax.Array
    ) -> EstimateNoiseState:
        """The state with one more estimate in the means."""
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
        return updates, optax.tree.where(is_finite, observed(state, *estimates), state)

    return optax.GradientTransformationExtraArgs(init, update)


def _estimates(
    squared_norm: jax.Array,
    small_squared_norm: jax.Array,
    small_batch_size: jax.Array,
    batch_size: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """|G|² and tr Σ by the batches of one update."""
    # 1 / (1/b − 1/B), without the digits that float32 loses in the difference.
    effective_size = small_batch_size * (batch_size / (batch_size - small_batch_size))
    variance = (small_squared_norm - squared_norm) * effective_size
    return squared_norm - variance / batch_size, variance


def _require_observation(**given: ArrayLike | None) -> list[jax.Array]:
    """The norm and the sizes, float32; refuses them where missing, no scalars or impossible."""
    values = {name: value for name, value in given.items() if value is not None}
    if missing := [name for name in given if name not in values]:
        raise TypeError(
            f"estimate_noise needs the keyword arguments {missing}; call tx.update(updates, state, "
            "params, small_squared_norm=…, small_batch_size=…, batch_size=…)."
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
    """The gradient noise scale that `estimate_noise` keeps in this state.

    Found in any chain, however nested. Works under `jit`. Not `noise_scale`, the size of the
    fluctuations that SGD adds at a learning rate and batch size.

    Chance may make either estimate negative. A |G|² of 0 or less with a positive tr Σ is an
    infinite scale: no gradient is to be seen in the noise. A tr Σ of 0 or less with a positive |G|²
    is a scale of 0: no noise is to be seen. The two parts are returned as they are.

    Args:
        opt_state: the state of any Optax optimizer with one `estimate_noise` in it.

    Returns:
        The scale in examples, and the |G|² and tr Σ that it is the quotient of, all f32[]; NaN
        before the first estimate. The scale is also NaN where neither part is positive.

    Raises:
        ValueError: when the state holds no estimate, or more than one.

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
