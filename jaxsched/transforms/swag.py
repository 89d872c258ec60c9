"""SWAG: a Gaussian fitted to the weights during training, and samples from it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxsched.plan.clock import TimeFunction
from jaxsched.schedules.base import as_float, require
from jaxsched.transforms.averaged import read_means
from jaxsched.transforms.averaging import (
    AverageParamsState,
    empty_average,
    equal_share,
    with_newest,
    zeros_to_add_to,
)
from jaxsched.transforms.base import (
    find_states,
    holds,
    require_numbers,
    require_params,
    require_predicate,
)
from jaxsched.transforms.boxes import with_front_axis
from jaxsched.transforms.leaves import all_finite, by_part, is_inexact, times, updated_params
from jaxsched.transforms.placement import passes_updates, require_last


@passes_updates
class SwagState(NamedTuple):
    """State of `swag`: the SWA average and rank + 1 more copies of the parameters."""

    average: AverageParamsState  # the counters and the mean, as in average_params(at)
    # In the mean's dtypes; of a complex parameter those of its real and of its imaginary part.
    variance: optax.Params  # the parameters' structure and shapes; 0 while n < 2
    deviations: optax.Params  # [rank, ...] per parameter, a ring buffer; 0 where not filled


def swag(
    at: TimeFunction, *, rank: int = 20, skip_nonfinite: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Fits a Gaussian to the parameters during training and passes the updates through unchanged.

    Use it for uncertainties and ensembles from a single run. It collects `params + updates`, the
    parameters that the update makes, so it must be the last of its chain. It replaces an
    `average_params`: its mean is that of SWA and is read in the same way, with `averaged_params`.
    Draw parameters with `sample_swag`.

    Formula, with n parameters w collected so far:
        mean ← mean of all n
        variance ← mean of w² − mean², for each parameter on its own
        D ← the last `rank` of the deviations w − mean, each from the mean with that w in it

    All are float32, or float64 or complex as the parameters are; a complex parameter counts as two
    real ones. Parameters that are no real or complex numbers, such as a counter or a random key,
    are not collected. Memory: 2 + rank float32 copies of the parameters (the mean, the variance,
    the deviations). Updates that collect nothing compute only `optax.apply_updates`, which the
    compiler merges with your own.

    The deviations lie on the devices as the parameters do, behind an axis `rank` that is whole on
    each. `optax.tree.map_params` hands them over as copies of the parameters: a partition needs a
    None in front of the parameter's there.

    How to choose: `at` as for SWA, see `average_params`. The paper uses rank 20 and collects once
    an epoch. The learning rate determines how far the parameters wander, and so the spread: use a
    constant one that is not too low.

    Args:
        at: which updates collect: a predicate over the update count, int32[] -> bool[].
        rank: the number of deviations kept, at least 2. It determines shapes, so it cannot be
            traced.
        skip_nonfinite: whether weights that are not all finite are not collected; see
            `average_params`.

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
        def variance(v: jax.Array, mean: jax.Array, w: Any) -> jax.Array:
            return _new_variance(v, _difference(w, mean), n, share) if is_inexact(w) else v

        def deviations(d: jax.Array, mean: jax.Array, w: Any) -> jax.Array:
            if not is_inexact(w):
                return d
            return jax.lax.dynamic_update_index_in_dim(d, _difference(w, mean), n % rank, axis=0)

        return SwagState(
            average=average,
            variance=jax.tree.map(variance, state.variance, average.mean, newest),
            deviations=_map_leaves(deviations, state.deviations, average.mean, newest),
        )

    def init(params: optax.Params) -> SwagState:
        zeros = zeros_to_add_to(params)
        # Broadcast, so that they are sharded as the parameters are.
        stacks = jax.tree.map(lambda zero: jnp.broadcast_to(zero, (rank, *zero.shape)), zeros)
        return SwagState(
            average=empty_average(params),
            variance=zeros,
            deviations=with_front_axis(stacks),
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
        newest = updated_params(params, updates)
        collects = holds(at, count)
        if skip_nonfinite:
            collects &= all_finite(newest)
        state = jax.lax.cond(collects, lambda: collect(state, newest), lambda: state)
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
    covariances between layers too. The state is found in any chain, however nested; several groups
    of parameters, as under `optax.partition`, are drawn independently. With fewer than 2 collected
    there is no spread, and with none the result is `params`. Parameters that were not collected are
    returned as they are; see `averaged_params`. Works under `jit`, and under `vmap` over keys.

    Batch-norm statistics are not sampled: recompute them for each sample before you evaluate it.
    Average the samples' predicted probabilities, not their logits; the paper uses 30 samples.
    Multi-SWAG is the same average over the samples of several independent runs, each from its own
    initialization; Multi-SWA is the average over the runs' means.

    Args:
        opt_state: the state of any Optax optimizer with a `swag` in it.
        params: the current parameters, or the whole model of NNX or Equinox with them.
        key: the random key; the same key gives the same sample.
        scale: the factor of the standard deviation; 1 is the paper's. The authors' code multiplies
            the covariance and has no ½, so that its scale 0.5 is 1 here; it also divides by
            rank − 1 while there are fewer deviations.

    Returns:
        The sample, with the structure, shapes and dtypes of `params`.

    Raises:
        ValueError: if the state holds no SWAG, or more than one of the same parameters, the SWAG is
            followed by transformations that change the updates, or the scale is negative.

    Warns:
        UserWarning: if the mean or the spread is not finite; not under `jit`.

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
    if not found:
        raise ValueError(
            "sample_swag needs a state with a swag in it, got 0; add swag(at) as the last of the "
            "chain."
        )
    require_last(opt_state, SwagState, "sample_swag")
    require_numbers("sample_swag", scale=scale)
    require(
        lambda scale: scale >= 0,
        scale,
        message=f"sample_swag needs a scale of at least 0, got scale={scale}; it multiplies the "
        "standard deviation.",
    )
    keys = [key] if len(found) == 1 else jax.random.split(key, len(found))
    # Read like the means of averages, which takes care of dtypes, masks and an empty mean.
    draws = [_draw(state, key, as_float(scale)) for state, key in zip(found, keys, strict=True)]
    return read_means(draws, params, "sample_swag")


def _draw(state: SwagState, key: jax.Array, scale: jax.Array) -> AverageParamsState:
    """Draws from the Gaussian of a state; the draw takes the mean's place in its average."""
    diagonal_key, low_rank_key = jax.random.split(key)
    stacks = jax.tree.leaves(state.deviations)
    rank = stacks[0].shape[0] if stacks else 0
    num_held = jnp.minimum(state.average.num_averaged, rank)
    # The same z for all parameters. Columns that are not filled yet are zero, so theirs is void.
    z = jax.random.normal(low_rank_key, (rank,), jnp.float32)
    z = z / jnp.sqrt(2.0 * jnp.maximum(num_held - 1, 1).astype(jnp.float32))

    def draw_leaf(
        mean: jax.Array, variance: jax.Array, deviations: jax.Array, key: jax.Array
    ) -> jax.Array:
        normal = jax.random.normal(key, variance.shape, variance.dtype)
        if jnp.iscomplexobj(normal):
            normal *= 2**0.5  # each part of JAX's complex normal numbers has the variance 1/2
        diagonal = by_part(lambda v, normal: jnp.sqrt(v / 2) * normal, variance, normal)
        # "highest", because accelerators multiply float32 matrices in fewer digits by default.
        low_rank = jnp.tensordot(
            z.astype(deviations.dtype), deviations, axes=1, precision="highest"
        )
        return mean + times(diagonal + low_rank, scale)

    keys = optax.tree.split_key_like(diagonal_key, state.average.mean)
    drawn = _map_leaves(draw_leaf, state.average.mean, state.variance, state.deviations, keys)
    return state.average._replace(mean=drawn)


def _new_variance(
    variance: jax.Array, deviation: jax.Array, n: jax.Array, share: jax.Array
) -> jax.Array:
    """Returns the variance of n + 1 values, by the newest one's deviation from their mean.

    Welford's form, which equals mean of w² − mean² in exact arithmetic. In float32 that difference
    has no digits left if the spread is below 1/4000 of the mean, and may be negative; this form
    never is, since the share is at most 1.
    """

    def squared_share(deviation: jax.Array) -> jax.Array:
        return jnp.square(deviation) / jnp.maximum(n, 1).astype(deviation.dtype)

    return (variance - times(variance, share)) + by_part(squared_share, deviation)


def _difference(w: Any, mean: jax.Array) -> jax.Array:
    """Returns w − mean in the mean's dtype."""
    return jnp.asarray(w).astype(mean.dtype) - mean


def _map_leaves(function: Callable[..., jax.Array], tree: Any, *others: Any) -> Any:
    """Maps the leaves of trees of one structure, but for what their boxes name the axes."""
    leaves, structure = jax.tree.flatten(tree)
    columns = [jax.tree.leaves(other) for other in others]
    return jax.tree.unflatten(structure, map(function, leaves, *columns))


def _require_rank(rank: int) -> None:
    """Raises `ValueError` if the rank is not a whole number, or too low for a covariance."""
    if not isinstance(rank, int | np.integer) or rank < 2:
        raise ValueError(
            f"swag needs rank to be a Python int of at least 2, got rank={rank!r}; the paper takes "
            "20. Under optax.inject_hyperparams name it in static_args."
        )
