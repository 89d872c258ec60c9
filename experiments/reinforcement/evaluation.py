"""Plays whole episodes to see how good a policy is."""

from typing import Any

import cartpole
import jax
import jax.numpy as jnp
from policy import NETWORK

NUM_EPISODES = 128


def mean_return(params: Any, key: jax.Array) -> jax.Array:
    """Returns the mean return of episodes that the policy plays at random, f32[], 500 at most."""
    reset_key, key = jax.random.split(key)
    environments = jax.vmap(cartpole.reset)(jax.random.split(reset_key, NUM_EPISODES))

    def step(carry: tuple[cartpole.CartPole, jax.Array], key: jax.Array):
        environments, is_running = carry
        logits, _ = NETWORK.apply(params, environments.observation)
        action = jax.random.categorical(key, logits)
        environments, end = jax.vmap(cartpole.push)(environments, action)
        return (environments, is_running & ~end.terminated), is_running.sum()

    carry = (environments, jnp.ones(NUM_EPISODES, bool))
    _, rewards = jax.lax.scan(step, carry, jax.random.split(key, cartpole.MAX_STEPS))
    return rewards.sum() / NUM_EPISODES
