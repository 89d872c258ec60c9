"""The dynamics are Gymnasium's, and those of a float64 twin in NumPy."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "experiments" / "reinforcement"))

import cartpole  # noqa: E402

EPISODES = json.loads((HERE / "gymnasium_cartpole.json").read_text())["episodes"]


def twin(state, action):
    """A push in float64, derived anew: two equations of motion, solved for the accelerations.

    (M + m) ẍ + m l (θ̈ cos θ − θ̇² sin θ) = F  and  4/3 l θ̈ + ẍ cos θ = g sin θ
    """
    g, cart, pole, length = 9.8, 1.0, 0.1, 0.5
    _, x_dot, theta, theta_dot = state
    matrix = [
        [cart + pole, pole * length * np.cos(theta)],
        [np.cos(theta), 4 / 3 * length],
    ]
    force = 10.0 if action else -10.0
    right = [force + pole * length * theta_dot**2 * np.sin(theta), g * np.sin(theta)]
    x_dot_dot, theta_dot_dot = np.linalg.solve(matrix, right)
    return state + 0.02 * np.array([x_dot, x_dot_dot, theta_dot, theta_dot_dot])


@pytest.mark.parametrize("name", EPISODES)
def test_each_push_is_that_of_gymnasium(name):
    """From each recorded state, so that rounding does not add up."""
    episode = EPISODES[name]
    observations = jnp.asarray(episode["observations"], jnp.float32)
    actions = jnp.asarray(episode["actions"])
    before = cartpole.CartPole(observations[:-1], jnp.arange(len(actions)))
    after, end = jax.jit(jax.vmap(cartpole.push))(before, actions)
    np.testing.assert_allclose(after.observation, observations[1:], rtol=1e-5, atol=1e-6)
    found = np.stack([end.terminated, end.truncated], axis=1)
    assert not found[:-1].any()
    assert found[-1].tolist() == episode["end"]


def test_free_episode_stays_with_the_float64_twin():
    state, carts = np.array([0.03, -0.2, 0.02, 0.1]), None
    carts = cartpole.CartPole(jnp.asarray(state, jnp.float32), jnp.zeros((), jnp.int32))
    push = jax.jit(cartpole.push)
    for action in EPISODES["both"]["actions"][:40]:
        state = twin(state, action)
        carts, _ = push(carts, jnp.int32(action))
    np.testing.assert_allclose(carts.observation, state, rtol=1e-3, atol=1e-4)


def test_cart_that_leaves_the_track_ends_the_episode_on_either_side():
    for sign in (-1.0, 1.0):
        at_edge = cartpole.CartPole(jnp.array([2.39, 1.0, 0.0, 0.0]) * sign, jnp.int32(499))
        _, end = cartpole.push(at_edge, jnp.int32(0))
        # It fell in the very step that was the last: it is terminal, not cut off.
        assert (bool(end.terminated), bool(end.truncated)) == (True, False)
        inside = at_edge._replace(observation=at_edge.observation * 0.9)
        _, end = cartpole.push(inside, jnp.int32(0))
        assert (bool(end.terminated), bool(end.truncated)) == (False, True)


def test_a_cart_starts_nearly_at_rest():
    carts = jax.vmap(cartpole.reset)(jax.random.split(jax.random.key(0), 1000))
    found = np.asarray(carts.observation)
    assert np.abs(found).max() < 0.05
    np.testing.assert_allclose(found.std(axis=0), 0.1 / 12**0.5, rtol=0.1)
    assert not carts.time.any()
