"""Proximal policy optimization: acts in many environments, then learns from what it saw.

Source:
    Schulman et al., "Proximal policy optimization algorithms" (arXiv 1707.06347).
"""

from typing import Any, NamedTuple

import cartpole
import gae
import jax
import jax.numpy as jnp
import optax
from policy import NETWORK

NUM_ENVIRONMENTS, HORIZON = 16, 64  # an iteration sees 1,024 steps of the environments,
EPOCHS, MINIBATCHES = 4, 4  # and makes 16 updates of 256 steps each
DISCOUNT, TRACE = 0.99, 0.95
CLIP, VALUE_WEIGHT, ENTROPY_WEIGHT, MAX_NORM = 0.2, 0.5, 0.01, 0.5

EXAMPLES_PER_ITERATION = NUM_ENVIRONMENTS * HORIZON
UPDATES_PER_ITERATION = EPOCHS * MINIBATCHES


class Learner(NamedTuple):
    """What an iteration hands to the next."""

    params: Any
    opt_state: Any
    environments: cartpole.CartPole  # [E]
    key: jax.Array


class Steps(NamedTuple):
    """Steps in the environments, [T, E] each; all of one minibatch are [B]."""

    observation: jax.Array  # f32[..., 4]
    action: jax.Array  # int32
    log_probability: jax.Array  # f32, of the action when it was taken
    advantage: jax.Array  # f32
    target: jax.Array  # f32, for the value of the observation


def start(key: jax.Array, tx: optax.GradientTransformation) -> Learner:
    """Returns a learner that has seen nothing."""
    params_key, environments_key, key = jax.random.split(key, 3)
    params = NETWORK.init(params_key, jnp.zeros(4))
    environments = jax.vmap(cartpole.reset)(jax.random.split(environments_key, NUM_ENVIRONMENTS))
    return Learner(params, tx.init(params), environments, key)


def iterate(tx: optax.GradientTransformation, learner: Learner) -> Learner:
    """Acts, then makes the updates of one iteration."""
    key, acting_key, shuffle_key = jax.random.split(learner.key, 3)
    environments, steps = _act(learner.params, learner.environments, acting_key)
    examples = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)

    def minibatch(carry: tuple[Any, Any], chosen: jax.Array):
        params, opt_state = carry
        gradients = jax.grad(loss)(params, jax.tree.map(lambda x: x[chosen], examples))
        updates, opt_state = tx.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    orders = jax.vmap(lambda key: jax.random.permutation(key, EXAMPLES_PER_ITERATION))(
        jax.random.split(shuffle_key, EPOCHS)
    ).reshape(UPDATES_PER_ITERATION, -1)
    (params, opt_state), _ = jax.lax.scan(minibatch, (learner.params, learner.opt_state), orders)
    return Learner(params, opt_state, environments, key)


def _act(
    params: Any, environments: cartpole.CartPole, key: jax.Array
) -> tuple[cartpole.CartPole, Steps]:
    """Takes HORIZON actions in each environment; a new episode follows each that ends."""

    def step(environments: cartpole.CartPole, key: jax.Array):
        action_key, reset_key = jax.random.split(key)
        logits, value = NETWORK.apply(params, environments.observation)
        action = jax.random.categorical(action_key, logits)
        after, end = jax.vmap(cartpole.push)(environments, action)
        _, next_value = NETWORK.apply(params, after.observation)
        fresh = jax.vmap(cartpole.reset)(jax.random.split(reset_key, NUM_ENVIRONMENTS))
        ended = end.terminated | end.truncated
        following = cartpole.CartPole(
            jnp.where(ended[:, None], fresh.observation, after.observation),
            jnp.where(ended, fresh.time, after.time),
        )
        log_probability = _log_probability(logits, action)
        seen = (environments.observation, action, log_probability, value, next_value)
        return following, (seen, (end.terminated, ended))

    environments, (seen, (terminated, ended)) = jax.lax.scan(
        step, environments, jax.random.split(key, HORIZON)
    )
    observation, action, log_probability, value, next_value = seen
    advantage = gae.advantages(
        jnp.ones_like(value), value, next_value, terminated, ended, discount=DISCOUNT, trace=TRACE
    )
    return environments, Steps(observation, action, log_probability, advantage, advantage + value)


def loss(params: Any, batch: Steps) -> jax.Array:
    """Returns the loss of a minibatch, f32[].

    Formula, with the ratio q of an action's probability to that when it was taken, and advantages A
    of mean 0 and standard deviation 1:
        − mean min(q A, clip(q, 1 − c, 1 + c) A) + v · mean (V − target)² / 2 − e · mean entropy
    """
    logits, value = NETWORK.apply(params, batch.observation)
    ratio = jnp.exp(_log_probability(logits, batch.action) - batch.log_probability)
    advantage = (batch.advantage - batch.advantage.mean()) / (batch.advantage.std() + 1e-8)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
    log_probabilities = jax.nn.log_softmax(logits)
    entropy = -(jnp.exp(log_probabilities) * log_probabilities).sum(axis=-1)
    error = jnp.square(value - batch.target) / 2
    return (-gain + VALUE_WEIGHT * error - ENTROPY_WEIGHT * entropy).mean()


def _log_probability(logits: jax.Array, action: jax.Array) -> jax.Array:
    """Returns the logarithm of the probability of each action taken."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]
