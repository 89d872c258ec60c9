"""A training loop of its own: PPO on CartPole with a schedule, measured at even intervals."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import jax
import optax
import ppo
from evaluation import mean_return
from schedules import NUM_EVALUATIONS, NUM_ITERATIONS, UPDATES_PER_EVALUATION

import jaxsched as js

EXAMPLES_PER_EVALUATION = NUM_ITERATIONS * ppo.EXAMPLES_PER_ITERATION // NUM_EVALUATIONS
Link: TypeAlias = Callable[[jax.Array], optax.GradientTransformation]


def train(link: Link, seed: int, peak: float, l2: float) -> Iterator[ppo.Learner]:
    """Trains, and yields the learner at each evaluation, the first before any update.

    Args:
        link: one of `schedules.SCHEDULES`.
        seed: of the weights, the environments and all actions.
        peak: the peak learning rate.
        l2: the coefficient of the L2 penalty, which is part of the gradient.
    """
    start, advance = (partial(f, link, peak, l2) for f in (_start, _advance))
    learner = start(seed)
    yield learner
    for _ in range(NUM_EVALUATIONS):
        learner = jax.block_until_ready(advance(learner))
        yield learner


def measure(learner: ppo.Learner, evaluation: int) -> dict[str, Any]:
    """Returns the row of an evaluation; it takes no random number from the training."""
    return {
        "step": evaluation * UPDATES_PER_EVALUATION,
        "examples": evaluation * EXAMPLES_PER_EVALUATION,
        **jax.tree.map(float, _measure(learner, evaluation)),
    }


def chain(link: Link, peak: Any, l2: Any) -> optax.GradientTransformation:
    """Returns the optimizer: clipping, L2, Adam with the schedule, an average of the weights."""
    return optax.chain(
        optax.clip_by_global_norm(ppo.MAX_NORM),
        optax.add_decayed_weights(l2),
        link(peak),
        js.average_params(js.every(1), decay=0.99),  # the last of the chain
    )


@partial(jax.jit, static_argnums=0)
def _start(link: Link, peak: Any, l2: Any, seed: Any) -> ppo.Learner:
    return ppo.start(jax.random.key(seed), chain(link, peak, l2))


@partial(jax.jit, static_argnums=0)
def _advance(link: Link, peak: Any, l2: Any, learner: ppo.Learner) -> ppo.Learner:
    """Makes the iterations up to the next evaluation."""
    tx = chain(link, peak, l2)

    def iteration(learner: ppo.Learner, _: None):
        return ppo.iterate(tx, learner), None

    return jax.lax.scan(iteration, learner, length=NUM_ITERATIONS // NUM_EVALUATIONS)[0]


@jax.jit
def _measure(learner: ppo.Learner, evaluation: Any) -> dict[str, jax.Array]:
    key, rates = jax.random.fold_in(learner.key, evaluation), js.hyperparams(learner.opt_state)
    averaged = js.averaged_params(learner.opt_state, learner.params)
    return {
        "test_return": mean_return(learner.params, key),
        "averaged_test_return": mean_return(averaged, key),
        "squared_norm": optax.tree.norm(learner.params, squared=True),
        "learning_rate": rates["learning_rate"] * rates.get("abel_scale", 1.0),
    }
