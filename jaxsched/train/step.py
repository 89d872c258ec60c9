"""One update of one replica: the only place where gradients are taken."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import optax
from jax import lax

from jaxsched.models import Model
from jaxsched.train.norms import NormChange
from jaxsched.train.state import TrainState
from jaxsched.train.sums import Sums, cross_entropy


class Batch(NamedTuple):
    """A replica's part of a batch."""

    images: jax.Array  # compute dtype [B, H, W, C], normalised
    labels: jax.Array  # int32[B]
    keys: jax.Array  # key<>[B], one an example, for dropout


NormRates: TypeAlias = Callable[[optax.OptState], tuple[jax.Array, jax.Array] | None]
Update: TypeAlias = Callable[[TrainState, Batch], tuple[TrainState, Sums]]


def make_update(
    model: Model,
    tx: optax.GradientTransformationExtraArgs,
    *,
    label_smoothing: float = 0.0,
    axis_name: str | None = None,
    norm_rates: NormRates | None = None,
) -> Update:
    """The function from a state and a batch to the next state and the batch's sums.

    The same function serves one device, a batch that the compiler splits over a mesh (no axis
    name), and a mapped axis (`jax.pmap` or `jax.shard_map`, by name), where gradients and sums are
    reduced over the axis, so that every replica makes the same update.

    Args:
        model: the network, built with the same axis name.
        tx: the Optax chain.
        label_smoothing: see `cross_entropy`.
        axis_name: the mapped axis over replicas, if there is one.
        norm_rates: from the state of `tx` to η and η λ of the update that made it, or to None
            where there are none; the sums then hold a `NormChange`. None measures nothing.
    """

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
        def mean_loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, batch_stats = model.train_logits(variables, batch.images, batch.keys)
            losses = cross_entropy(logits, batch.labels, label_smoothing)
            return losses.mean(), (batch_stats, Sums.of(logits, batch.labels, losses))

        params = state.params
        if axis_name is not None:
            # Without the cast, shard_map with check_vma sums the gradients of what it takes for
            # one shared input over the replicas before pmean sees them. A no-op under pmap.
            params = lax.pcast(params, axis_name, to="varying")
        grads, (batch_stats, sums) = jax.grad(mean_loss, has_aux=True)(params)
        if axis_name is not None:
            grads = lax.pmean(grads, axis_name)
            sums = lax.psum(sums, axis_name)
        updates, opt_state = tx.update(grads, state.opt_state, state.params, value=state.observed)
        rates = norm_rates(opt_state) if norm_rates is not None else None
        if rates is not None:
            sums = sums._replace(norm_change=NormChange.of(grads, state.params, rates))
        state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            observed=state.observed,
        )
        return state, sums

    return update
