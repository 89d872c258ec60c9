"""Generalized advantage estimation."""

import jax
import jax.numpy as jnp


def advantages(
    rewards: jax.Array,
    values: jax.Array,
    next_values: jax.Array,
    terminated: jax.Array,
    ended: jax.Array,
    *,
    discount: float,
    trace: float,
) -> jax.Array:
    """Returns the advantage of each action, [T, E] for T steps in each of E environments.

    Formula:
        δₜ = rₜ + γ V(s′ₜ) − V(sₜ),   without V(s′ₜ) where the episode terminated
        Aₜ = δₜ + γλ Aₜ₊₁,            without Aₜ₊₁ where the episode ended

    An episode that was only cut off by the clock would have gone on, so its last value counts.

    Args:
        rewards: the reward of each action.
        values: V of the state in which it was taken.
        next_values: V of the state that it led to, before any new episode.
        terminated: whether that state is a terminal one.
        ended: whether the episode ended there, terminated or cut off.
        discount: γ.
        trace: λ.

    Source:
        Schulman et al., "High-dimensional continuous control using generalized advantage
        estimation" (arXiv 1506.02438), equation 16.
    """
    errors = rewards + discount * next_values * ~terminated - values

    def backwards(later: jax.Array, now: tuple[jax.Array, jax.Array]):
        error, ended = now
        advantage = error + discount * trace * later * ~ended
        return advantage, advantage

    _, found = jax.lax.scan(backwards, jnp.zeros_like(errors[0]), (errors, ended), reverse=True)
    return found
