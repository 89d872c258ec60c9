"""A velocity that keeps its effect when the momentum changes, against a running mean by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

PLAN = js.Plan((js.Phase(4, 10),), num_examples=100)
GRADIENTS = np.random.default_rng(0).normal(1.0, 0.3, (40, 3))
MOMENTUM = js.MultiStep(0.5, (1, 2.5), (1.8, 1.05))  # 0.5, 0.9, 0.945


def run(optimizer):
    tx = optimizer.transformation(PLAN)
    params = jnp.zeros(3)
    state = tx.init(params)
    steps = []
    for gradient in GRADIENTS:
        updates, state = tx.update(jnp.asarray(gradient, jnp.float32), state, params)
        steps.append(np.asarray(updates))
    return np.array(steps), state


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_is_the_running_mean_of_gradients(nesterov):
    steps, state = run(js.SGD(0.1, MOMENTUM, nesterov=nesterov, rescale_velocity=True))
    mean = np.zeros(3)
    for step, gradient in enumerate(GRADIENTS):
        m = 0.5 if step < 10 else 0.9 if step < 25 else 0.945
        mean = m * mean + (1 - m) * gradient
        velocity = mean / (1 - m)
        expected = gradient + m * velocity if nesterov else velocity
        np.testing.assert_allclose(steps[step], -0.1 * expected, rtol=2e-5)
    assert float(js.hyperparams(state)["momentum"]) == pytest.approx(0.945)


def test_with_a_constant_momentum_it_is_heavy_ball():
    ours, _ = run(js.SGD(0.1, 0.9, rescale_velocity=True))
    theirs, _ = run(js.SGD(0.1, 0.9))
    np.testing.assert_array_equal(ours, theirs)
    tx = optax.sgd(0.1, momentum=0.9)
    state = tx.init(jnp.zeros(3))
    for step, gradient in zip(ours, GRADIENTS, strict=True):
        updates, state = tx.update(jnp.asarray(gradient, jnp.float32), state)
        np.testing.assert_allclose(step, updates, rtol=1e-6)


def test_momentum_one_and_zero_stay_finite():
    steps, _ = run(js.SGD(0.1, js.MultiStep(1.0, (1, 2), (0.0, 1.0)), rescale_velocity=True))
    assert np.isfinite(steps).all()
    np.testing.assert_allclose(steps[10:], -0.1 * GRADIENTS[10:], rtol=1e-6)
