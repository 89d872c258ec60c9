"""One update of one replica; the only place where gradients are computed."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import DTypeLike

from jaxsched.models import BatchStats, Params
from jaxsched.models.layers.gradient_dtype import gradients_in
from jaxsched.optim.lr_factors import stop_frozen
from jaxsched.optim.optimizers import EffectiveRates
from jaxsched.tasks import MetricSums, TaskFunctions
from jaxsched.train.step.batch_norm_stats import stepped_by_examples
from jaxsched.train.step.micro_batches import Batch, MicroBatches
from jaxsched.train.step.state import TrainState
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.train.step.weight_norms import NormChange
from jaxsched.transforms.base import squared_norm

NormRates: TypeAlias = Callable[[optax.OptState], EffectiveRates | None]
Update: TypeAlias = Callable[[TrainState, MicroBatches], tuple[TrainState, UpdateSums]]


class _Gradients(NamedTuple):
    """The results of a micro-batch, which can be added up over several."""

    grads: Params  # of the mean loss
    batch_stats: BatchStats
    sums: MetricSums
    squared_norm: jax.Array  # f32[], |grads|² if the noise is estimated, else 0


def make_update(
    task: TaskFunctions,
    tx: optax.GradientTransformationExtraArgs,
    *,
    axis_name: str | None = None,
    norm_rates: NormRates | None = None,
    factors_of: Callable[[Params], Params] | None = None,
    estimates_noise: bool = False,
    growth: float = 1.0,
    gradient_dtype: DTypeLike = jnp.float32,
) -> Update:
    """Returns the function from a state and a batch to the next state and the batch's sums.

    The same function serves one device, a batch that the compiler splits over a mesh (without an
    axis name), and a mapped axis (with its name, under `jax.pmap` or `jax.shard_map`). On a mapped
    axis gradients and sums are reduced over the axis, so that every replica makes the same update.
    The gradients of micro-batches are computed one after another, and the update uses their mean.

    Args:
        task: the task's functions, built with the same axis name.
        tx: the Optax chain.
        axis_name: the mapped axis over replicas, if there is one.
        norm_rates: a function from the state of `tx` to the rates of the update that made this
            state, or to None for an optimizer without them. If it returns them, the sums hold a
            `NormChange`. None measures nothing.
        factors_of: a function from parameters to the factor of each one's learning rate, which `tx`
            applies; no gradient is computed where it is 0. None if all are 1.
        estimates_noise: whether `tx` has an `estimate_noise`, which compares the squared norm of
            the gradient with those of micro-batches and replicas.
        growth: the batch size over the size whose updates the momentum of running statistics is
            for, see `stepped_by_examples`.
        gradient_dtype: the dtype in which replicas add up their gradients, see
            `Experiment.gradient_dtype`.
    """
    momenta = task.momenta() if task.momenta and growth != 1 else None

    def update(state: TrainState, batches: MicroBatches) -> tuple[TrainState, UpdateSums]:
        factors = None if factors_of is None else factors_of(state.params)

        def mean_loss(params: Params, batch: Batch):
            if factors is not None:
                params = stop_frozen(params, factors)
            variables = {"params": params, "batch_stats": state.batch_stats}
            return task.train_loss(variables, batch.inputs, batch.keys)

        params = state.params
        if axis_name is not None:
            # Without the cast, shard_map with check_vma takes the parameters for one input that
            # all replicas share, and sums the gradients over the replicas before pmean sees them.
            # Under pmap the cast does nothing.
            params = lax.pcast(params, axis_name, to="varying")

        def gradients(batch: Batch) -> _Gradients:
            with gradients_in(gradient_dtype):
                grads, (batch_stats, sums) = jax.grad(mean_loss, has_aux=True)(params, batch)
            squared = squared_norm(grads) if estimates_noise else jnp.zeros(())
            return _Gradients(grads, batch_stats, sums, squared)

        total = batches.total(gradients, axis_name)
        grads, batch_stats, sums, squared = _mean(total, batches.count, axis_name, gradient_dtype)
        if momenta is not None:
            batch_stats = stepped_by_examples(state.batch_stats, batch_stats, momenta, growth)
        noise = {}
        if estimates_noise:
            noise = {"small_squared_norm": squared, **_batch_sizes(batches, axis_name)}
        updates, opt_state = tx.update(
            grads, state.opt_state, state.params, value=state.observed, **noise
        )
        rates = norm_rates(opt_state) if norm_rates is not None else None
        change = None if rates is None else NormChange.of(grads, state.params, rates, factors)
        state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            observed=state.observed,
        )
        return state, UpdateSums(sums, change)

    return update


def _mean(
    total: _Gradients, count: int, axis_name: str | None, gradient_dtype: DTypeLike
) -> _Gradients:
    """Returns the means over micro-batches and replicas; the metrics stay sums."""
    if count > 1:
        mean = jax.tree.map(lambda array: array / count, total)
        if axis_name is not None:
            # One micro-batch's statistics are the same on all replicas; a mean of several is too,
            # but the cast of the loop's carry to "varying" hides that from shard_map.
            mean = mean._replace(batch_stats=lax.pmean(mean.batch_stats, axis_name))
        total = mean._replace(sums=total.sums)
    if axis_name is None:
        return total
    rounded = jax.tree.map(lambda grad: grad.astype(gradient_dtype), total.grads)
    means, squared = lax.pmean((rounded, total.squared_norm), axis_name)
    grads = jax.tree.map(lambda mean, grad: mean.astype(grad.dtype), means, total.grads)
    sums = lax.psum(total.sums, axis_name)
    return _Gradients(grads, total.batch_stats, sums, squared)


def _batch_sizes(batches: MicroBatches, axis_name: str | None) -> dict[str, Any]:
    """Returns the number of examples in a replica's micro-batch and in the whole batch."""
    small = jax.eval_shape(lambda: batches.at(0)).keys.shape[0]
    replicas = 1 if axis_name is None else lax.axis_size(axis_name)
    return {"small_batch_size": small, "batch_size": small * batches.count * replicas}
