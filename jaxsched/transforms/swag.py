"""SWAG: a Gaussian fitted to the weights during training, and samples from it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import as_float, require
from jaxsched.transforms.averaging import (
    AverageParamsState,
    averaged_params,
    empty_average,
    equal_share,
    with_newest,
)
from jaxsched.transforms.base import find_states, require_params, require_predicate


class SwagState(NamedTuple):
    """State of `swag`: the SWA average and rank + 1 more copies of the parameters."""

    average: AverageParamsState  # the counters and the mean, as in average_params(at)
    variance: optax.Params  # f32, the parameters' structure and shapes; 0 while n < 2
    deviations: optax.Params  # f32[rank, ...] per parameter, a ring buffer; 0 where not filled


def swag(at: TimeFunction, *, rank: int = 20) -> optax.GradientTransformationExtraArgs:
    """Fits a Gaussian to the parameters during training and passes the updates through unchanged.

    Use it for uncertainties and ensembles from a single run. It collects `params + updates`, the
    parameters that the update makes, so it must be the last of its chain. It replaces an
    `average_params`: its mean is that of SWA and is read in the same way, with `averaged_params`.
    Draw parameters with `sample_swag`.

    Formula, with n parameters w collected so far:
        mean ← mean of all n
        variance ← mean of w² − mean², for each parameter on its own
        D ← the last `rank` of the deviations w − mean, each from the mean with that w in it

    All are float32 whatever the parameters' dtype. Memory: 2 + rank float32 copies of the
    parameters (the mean, the variance, the deviations). Updates that collect nothing compute only
    `optax.apply_updates`, which the compiler merges with your own.

    How to choose: `at` as for SWA, see `average_params`. The paper uses rank 20 and collects once
    an epoch. The learning rate determines how far the parameters wander, and so the spread: use a
    constant one that is not too low.

    Args:
        at: which updates collect: a predicate over the update count, int32[] -> bool[].
        rank: the number of deviations kept, at least 2. It determines shapes, so it cannot be
            traced.

    Raises:
        ValueError: if the rank is out of its range, `at` is no predicate, or `update` is not given
            the parameters.

    Source:
        Maddox et al., "A simple baseline for Bayesian uncertainty in deep learning"
        (arXiv 1902.02476), algorithm 1.

    Example:
        >>> import jax.numpy as jnp, optax, jaxsched as js
        >>> tx = optax.chain(optax.sgd(1.0), js.swag(lambda step: True, rank=2))
        >>> w = jnp.array(4.0)
        >>> state = tx.init(w)
        >>> for gradient in (1.0, 2.0):  # w is 3.0, 1.0
        ...     updates, state = tx.update(jnp.array(gradient), state, w)
        ...     w = optax.apply_updates(w, updates)
        >>> float(js.averaged_params(state, w)), float(state[-1].variance)
        (2.0, 1.0)
        >>> state[-1].deviations
        Array([ 0., -1.], dtype=float32)
    """
    _require_rank(rank)
    require_predicate(at, "swag")

    def collect(state: SwagState, newest: optax.Params) -> SwagState:
        """Returns the state with these parameters in all its moments."""
        n = state.average.num_averaged
        share = equal_share(n)
        average = with_newest(state.average, newest, share)

        # Both functions use the new mean only, so that it can be written in the old one's buffer.
        def variance(v: jax.Array, mean: jax.Array, w: jax.Array) -> jax.Array:
            # Welford's form, which equals mean of w² − mean² in exact arithmetic. In float32 that
            # difference has no digits left if the spread is below 1/4000 of the mean, and may be
            # negative; this form never is, since the share is at most 1.
            squared_deviation = jnp.square(w.astype(jnp.float32) - mean)
            return (v - v * share) + squared_deviation / jnp.maximum(n, 1)

        def deviations(d: jax.Array, mean: jax.Array, w: jax.Array) -> jax.Array:
            deviation = w.astype(jnp.float32) - mean
            return jax.lax.dynamic_update_index_in_dim(d, deviation, n % rank, axis=0)

        return SwagState(
            average=average,
            variance=jax.tree.map(variance, state.variance, average.mean, newest),
            deviations=jax.tree.map(deviations, state.deviations, average.mean, newest),
        )

    def init(params: optax.Params) -> SwagState:
        return SwagState(
            average=empty_average(params),
            variance=jax.tree.map(lambda w: jnp.zeros_like(w, dtype=jnp.float32), params),
            deviations=jax.tree.map(lambda w: jnp.zeros((rank, *w.shape), jnp.float32), params),
        )

    def update(
        updates: optax.Updates,
        state: Any,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, SwagState]:
        del extra_args
        params = require_params(params, "swag")
        count = state.average.count
        # Outside the branch, so that the compiler merges it with the caller's; see averaging.py.
        newest = optax.apply_updates(params, updates)
        state = jax.lax.cond(at(count), lambda: collect(state, newest), lambda: state)
        average = state.average._replace(count=optax.safe_increment(count))
        return updates, state._replace(average=average)

    return optax.GradientTransformationExtraArgs(init, update)


def sample_swag(
    opt_state: optax.OptState,
    params: optax.Params,
    key: jax.Array,
    *,
    scale: ArrayLike = 1.0,
) -> optax.Params:
    """Draws parameters from the Gaussian that `swag` keeps in this state.

    Formula, with K = min(rank, n) deviations in D of n collected, z₁ and z₂ standard normal:
        mean + scale · (√(variance / 2) · z₁ + D z₂ / √(2 (K − 1)))
        ~ N(mean, scale² · ½ (diag(variance) + D Dᵀ / (K − 1)))

    z₂, one number per deviation, is the same for all parameters, so the low-rank part has the
    covariances between layers too. The state is found in any chain, however nested. With fewer than
    2 collected there is no spread, and with none the result is `params`. Parameters that a mask
    kept from collection are returned as they are. Works under `jit`, and under `vmap` over keys.

    Batch-norm statistics are not sampled: recompute them for each sample before you evaluate it.
    Average the samples' predicted probabilities, not their logits; the paper uses 30 samples.
    Multi-SWAG is the same average over the samples of several independent runs, each from its own
    initialization; Multi-SWA is the average over the runs' means.

    Args:
        opt_state: the state of any Optax optimizer with one `swag` in it.
        params: the current parameters.
        key: the random key; the same key gives the same sample.
        scale: the factor of the standard deviation; 1 is the paper's. The authors' code multiplies
            the covariance and has no ½, so that its scale 0.5 is 1 here; it also divides by
            rank − 1 while there are fewer deviations.

    Returns:
        The sample, with the structure, shapes and dtypes of `params`.

    Raises:
        ValueError: if the state holds no SWAG, or more than one, or the scale is negative.

    Source:
        Maddox et al. (arXiv 1902.02476), algorithm 1; for Multi-SWAG Wilson and Izmailov, "Bayesian
        deep learning and a probabilistic perspective of generalization" (arXiv 2002.08791).

    Example:
        >>> import jax, jax.numpy as jnp, optax, jaxsched as js
        >>> tx = optax.chain(optax.sgd(0.1), js.swag(js.every(1)))
        >>> w = jnp.array([1.0, 2.0])
        >>> state = tx.init(w)
        >>> for _ in range(5):
        ...     updates, state = tx.update(w, state, w)
        ...     w = optax.apply_updates(w, updates)
        >>> keys = jax.random.split(jax.random.key(0), 30)
        >>> jax.vmap(lambda key: js.sample_swag(state, w, key))(keys).shape
        (30, 2)
    """
    found = find_states(opt_state, SwagState)
    if len(found) != 1:
        raise ValueError(
            f"sample_swag needs a state with one swag in it, got {len(found)}; add swag(at) as the "
            "last of the chain, or give it the part of the state that you mean."
        )
    require(
        lambda scale: scale >= 0,
        scale,
        message=f"sample_swag needs a scale of at least 0, got scale={scale}; it multiplies the "
        "standard deviation.",
    )
    (state,) = found
    mean = jax.tree.map(
        lambda m, spread: m + as_float(scale) * spread, state.average.mean, _draw(state, key)
    )
    # Read like the mean of an average, which takes care of dtypes, masks and an empty mean.
    return averaged_params(state.average._replace(mean=mean), params)


def _draw(state: SwagState, key: jax.Array) -> optax.Params:
    """Draws the difference of a sample from the mean, at scale 1."""
    diagonal_key, low_rank_key = jax.random.split(key)
    rank = jax.tree.leaves(state.deviations)[0].shape[0]
    num_held = jnp.minimum(state.average.num_averaged, rank)
    # The same z for all parameters. Columns that are not filled yet are zero, so theirs is void.
    z = jax.random.normal(low_rank_key, (rank,), jnp.float32)
    z = z / jnp.sqrt(2.0 * jnp.maximum(num_held - 1, 1))

    def draw_leaf(key: jax.Array, variance: jax.Array, deviations: jax.Array) -> jax.Array:
        diagonal = jnp.sqrt(variance / 2) * jax.random.normal(key, variance.shape, jnp.float32)
        # "highest", because accelerators multiply float32 matrices in fewer digits by default.
        return diagonal + jnp.tensordot(z, deviations, axes=1, precision="highest")

    keys = optax.tree.split_key_like(diagonal_key, state.variance)
    return jax.tree.map(draw_leaf, keys, state.variance, state.deviations)


def _require_rank(rank: int) -> None:
    """Raises `ValueError` if the rank is not a whole number, or too low for a covariance."""
    if not isinstance(rank, int | np.integer) or rank < 2:
        raise ValueError(
            f"swag needs rank to be a Python int of at least 2, got rank={rank!r}; the paper takes "
            "20. Under optax.inject_hyperparams name it in static_args."
        )
