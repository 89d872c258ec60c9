"""Schedules inside Optax's own optimizers, against updates computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxsched as js


def test_sgd():
    schedule = js.MultiStep(0.5, milestones=(2,), factor=0.1)
    optimizer = optax.sgd(schedule, momentum=0.9)
    weight = jnp.float32(1.0)
    state = optimizer.init(weight)
    for _ in range(4):
        gradient = jax.grad(lambda w: w**2)(weight)
        updates, state = optimizer.update(gradient, state)
        weight = optax.apply_updates(weight, updates)

    expected, velocity = 1.0, 0.0
    for lr in (0.5, 0.5, 0.05, 0.05):
        velocity = 0.9 * velocity + 2 * expected
        expected -= lr * velocity
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_adamw_with_a_schedule_for_the_weight_decay_too():
    schedule = js.Warmup(js.Cosine(0.1, duration=10), duration=2, start=0.05)
    decay = js.Linear(0.01, 0.03, duration=2)
    optimizer = optax.adamw(schedule, b1=0.9, b2=0.999, eps=1e-8, weight_decay=decay)
    weight = jnp.float32(1.0)
    state = optimizer.init(weight)
    for _ in range(3):
        gradient = jax.grad(lambda w: w**2)(weight)
        updates, state = optimizer.update(gradient, state, weight)
        weight = optax.apply_updates(weight, updates)

    at_2 = 0.1 * (1 + np.cos(np.pi * 0.2)) / 2
    expected, first, second = 1.0, 0.0, 0.0
    lrs, decays = (0.05, (0.05 + at_2) / 2, at_2), (0.01, 0.02, 0.03)
    for t, (lr, weight_decay) in enumerate(zip(lrs, decays, strict=True), start=1):
        gradient = 2 * expected
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        adam = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        expected -= lr * (adam + weight_decay * expected)
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_inject_hyperparams_reports_the_values_that_each_update_used():
    cycle = js.OneCycle(1.0, duration=4, rise=0.5, div_factor=4.0, anneal="linear")
    optimizer = optax.inject_hyperparams(optax.sgd)(cycle, momentum=cycle.momentum(0.9, 0.5))
    weight = jnp.float32(1.0)
    state = optimizer.init(weight)
    used = []
    for _ in range(4):
        gradient = jax.grad(lambda w: w**2)(weight)
        updates, state = optimizer.update(gradient, state)
        weight = optax.apply_updates(weight, updates)
        used.append((state.hyperparams["learning_rate"], state.hyperparams["momentum"]))

    by_hand = [(0.25, 0.9), (0.625, 0.7), (1.0, 0.5), (0.500_012_5, 0.7)]
    np.testing.assert_allclose(used, by_hand, rtol=1e-6)
    expected, velocity = 1.0, 0.0
    for lr, momentum in by_hand:
        velocity = momentum * velocity + 2 * expected
        expected -= lr * velocity
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_one_compilation_for_a_sweep_of_learning_rates():
    compilations = []

    @jax.jit
    def train(schedule):
        compilations.append(schedule)
        optimizer = optax.sgd(schedule)

        def update(carry, _):
            weight, state = carry
            updates, state = optimizer.update(2 * weight, state)
            return (optax.apply_updates(weight, updates), state), None

        weight = jnp.float32(1.0)
        return jax.lax.scan(update, (weight, optimizer.init(weight)), length=3)[0][0]

    for peak in (0.1, 0.2):
        lrs = [peak * (1 + np.cos(np.pi * t / 6)) / 2 for t in range(3)]
        trained = train(js.Cosine(jnp.float32(peak), duration=6))
        np.testing.assert_allclose(trained, np.prod([1 - 2 * lr for lr in lrs]), rtol=1e-5)
    assert len(compilations) == 1
