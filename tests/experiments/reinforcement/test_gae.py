"""Advantages against the sum that defines them."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "experiments" / "reinforcement"))

import gae


@pytest.mark.parametrize(("discount", "trace"), [(0.99, 0.95), (0.9, 0.0), (1.0, 1.0)])
def test_an_advantage_is_the_discounted_sum_of_the_errors_of_its_episode(discount, trace):
    random = np.random.default_rng(0)
    shape = (30, 4)
    rewards, values, next_values = random.normal(size=(3, *shape))
    ended = random.random(shape) < 0.2
    terminated = ended & (random.random(shape) < 0.5)  # the others were cut off
    found = gae.advantages(
        *map(jnp.asarray, (rewards, values, next_values, terminated, ended)),
        discount=discount,
        trace=trace,
    )
    expected = np.zeros(shape)
    for t, environment in np.ndindex(shape):
        for later in range(t, shape[0]):
            at = later, environment
            following = 0.0 if terminated[at] else next_values[at]
            error = rewards[at] + discount * following - values[at]
            expected[t, environment] += (discount * trace) ** (later - t) * error
            if ended[at]:
                break
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
