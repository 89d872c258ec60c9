"""Curves through points, against Optax, SciPy and NumPy."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.interpolate import PchipInterpolator

import jaxsched as js

UPDATES = np.arange(120)


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_interpolate_is_optax_piecewise_interpolate(values, values_of_optax, curve):
    theirs = optax.piecewise_interpolate_schedule(curve, 0.4, {10: 2.0, 50: 0.5, 90: 0.25})
    ours = js.Interpolate(((0, 0.4), (10, 0.8), (50, 0.4), (90, 0.1)), curve)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_cubic_is_scipys_pchip(values, seed):
    draw = np.random.default_rng(seed)
    n = 2 + seed % 6
    times = np.cumsum(draw.uniform(1, 30, n))
    heights = draw.choice([0.0, 0.1, 0.5, 1.0], n) if seed % 2 else draw.uniform(0, 1, n)
    dense = np.linspace(times[0], times[-1], 301)
    ours = js.Interpolate(tuple(zip(times.tolist(), heights.tolist(), strict=True)), "cubic")
    theirs = PchipInterpolator(times, heights)(dense)
    np.testing.assert_allclose(values(ours, dense), theirs, atol=3e-6)
    # No overshoot: the curve has no extremum that the points do not have.
    assert values(ours, dense).max() <= heights.max() + 1e-6
    assert values(ours, dense).min() >= heights.min() - 1e-6


def test_points_may_be_an_array(values):
    points = np.array([[0, 0.2], [23, 1.0], [100, 0.07]])
    expected = np.interp(UPDATES, points[:, 0], points[:, 1])
    for array in (points, jnp.asarray(points)):
        np.testing.assert_allclose(values(js.Interpolate(array)), expected, rtol=1e-6)
