"""CartPole in plain JAX: a pole on a cart, kept upright by pushes to the left and to the right.

The dynamics are those of `CartPole-v1` of Gymnasium 1.4 (MIT license), after Barto, Sutton and
Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems" (1983).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

GRAVITY, CART_MASS, POLE_MASS = 9.8, 1.0, 0.1
HALF_LENGTH = 0.5  # of the pole
FORCE, SECONDS = 10.0, 0.02  # of a push, and between two pushes
MAX_POSITION, MAX_ANGLE = 2.4, 12 * jnp.pi / 180
MAX_STEPS = 500


class CartPole(NamedTuple):
    """A cart with its pole."""

    observation: jax.Array  # f32[4]: position, velocity, angle, angular velocity
    time: jax.Array  # int32[], pushes so far


class End(NamedTuple):
    """Whether an episode ended at a push, and how."""

    terminated: jax.Array  # bool[], the pole fell, or the cart left the track
    truncated: jax.Array  # bool[], the time was up, though it could have gone on


def reset(key: jax.Array) -> CartPole:
    """Returns a cart with its pole nearly at rest and upright."""
    observation = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
    return CartPole(observation, jnp.zeros((), jnp.int32))


def push(cartpole: CartPole, action: jax.Array) -> tuple[CartPole, End]:
    """Pushes to the left (0) or to the right (1); each push is worth a reward of 1."""
    _, x_dot, theta, theta_dot = cartpole.observation
    force = jnp.where(action == 1, FORCE, -FORCE)
    sin, cos, mass = jnp.sin(theta), jnp.cos(theta), CART_MASS + POLE_MASS
    push = (force + POLE_MASS * HALF_LENGTH * theta_dot**2 * sin) / mass
    inertia = HALF_LENGTH * (4 / 3 - POLE_MASS * cos**2 / mass)
    theta_dot_dot = (GRAVITY * sin - cos * push) / inertia
    x_dot_dot = push - POLE_MASS * HALF_LENGTH * theta_dot_dot * cos / mass
    change = jnp.stack([x_dot, x_dot_dot, theta_dot, theta_dot_dot])
    after = CartPole(cartpole.observation + SECONDS * change, cartpole.time + 1)
    terminated = (jnp.abs(after.observation[0]) > MAX_POSITION) | (
        jnp.abs(after.observation[2]) > MAX_ANGLE
    )
    return after, End(terminated, (after.time >= MAX_STEPS) & ~terminated)
