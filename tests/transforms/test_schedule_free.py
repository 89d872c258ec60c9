"""The evaluation point of schedule-free optimizers, against the paper's formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from optax.contrib import schedule_free, schedule_free_adamw, schedule_free_sgd

import jaxsched as js
from jaxsched.transforms import keeps_average, num_averaged

RATE, B1, UPDATES = 0.3, 0.8, 12
RANDOM = np.random.default_rng(3)
CURVATURE = np.diag([1.0, 0.3, 2.0]) + 0.1
START, LINEAR = RANDOM.normal(size=(2, 3))


def gradient(w):
    return CURVATURE @ w - LINEAR


def twin(rate=RATE, b1=B1, updates=UPDATES):
    """x, y and z after schedule-free SGD, as the paper writes it."""
    z = x = START
    for t in range(1, updates + 1):
        y = (1 - b1) * z + b1 * x
        z = z - rate * gradient(y)
        x = (1 - 1 / t) * x + z / t
    return x, (1 - b1) * z + b1 * x, z


def run(tx, w, updates=UPDATES, gradient=gradient):
    state = tx.init(w)
    for _ in range(updates):
        changes, state = tx.update(jax.tree.map(gradient, w), state, w)
        w = optax.apply_updates(w, changes)
    return w, state


def sgd(**options):
    return schedule_free_sgd(RATE, b1=B1, **options)


PLACES = {
    "alone": sgd,
    "in a chain": lambda: optax.chain(optax.clip(100.0), optax.chain(sgd())),
    "with hyper-parameters": lambda: optax.inject_hyperparams(schedule_free_sgd)(RATE, b1=B1),
    "behind finite updates": lambda: optax.apply_if_finite(sgd(), 3),
    "before what passes updates": lambda: optax.chain(sgd(), optax.snapshot("w", lambda w: 0.0)),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
def test_the_average_is_x_of_the_paper(make):
    w, state = run(make(), jnp.asarray(START, jnp.float32))
    x, y, _ = twin()
    np.testing.assert_allclose(w, y, rtol=2e-5)
    np.testing.assert_allclose(js.averaged_params(state, w), x, rtol=2e-5)
    assert np.abs(x - y).max() > 0.01
    assert keeps_average(state) and num_averaged(state) == UPDATES


def test_before_the_first_update_the_average_is_what_it_starts_from():
    w = jnp.asarray(START, jnp.float32)
    state = sgd().init(w)
    np.testing.assert_array_equal(js.averaged_params(state, w), w)
    assert num_averaged(state) == 0


@pytest.mark.parametrize("make", [lambda: schedule_free_adamw(0.1, warmup_steps=4), sgd])
def test_it_is_what_optax_evaluates(make):
    w, state = run(make(), {"a": jnp.ones(3), "b": jnp.ones((), jnp.bfloat16)}, gradient=jnp.sin)
    theirs = optax.contrib.schedule_free_eval_params(state, w)
    ours = jax.jit(js.averaged_params)(state, w)
    assert ours["b"].dtype == jnp.bfloat16
    np.testing.assert_allclose(ours["a"], theirs["a"], rtol=1e-5)
    np.testing.assert_allclose(ours["b"], np.float32(theirs["b"]), rtol=1e-2)


def test_groups_may_keep_averages_of_different_kinds():
    averaged = optax.chain(optax.sgd(RATE), js.average_params(js.every(1)))
    groups = {"free": sgd(), "mean": averaged, "plain": optax.sgd(RATE)}
    w = {name: jnp.asarray(START, jnp.float32) for name in groups}
    w, state = run(optax.partition(groups, {name: name for name in groups}), w)
    found = js.averaged_params(state, w)
    np.testing.assert_allclose(found["free"], twin()[0], rtol=2e-5)
    alone, state_of_mean = run(averaged, jnp.asarray(START, jnp.float32))
    np.testing.assert_array_equal(found["mean"], js.averaged_params(state_of_mean, alone))
    np.testing.assert_array_equal(found["plain"], w["plain"])
    assert num_averaged(state) == UPDATES


def test_the_state_of_an_nnx_optimizer_is_read():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.chain(sgd()), wrt=nnx.Param)
    for _ in range(3):
        optimizer.update(model, nnx.grad(lambda model: (model(jnp.ones(3)) ** 2).sum())(model))
    (state,) = nnx.as_pure(optimizer.opt_state)
    averaged = js.averaged_params(optimizer.opt_state, model)
    params = nnx.as_pure(nnx.state(model, nnx.Param))
    theirs = optax.contrib.schedule_free_eval_params(state, params)
    np.testing.assert_allclose(averaged.kernel[...], theirs["kernel"], rtol=1e-5)
    assert np.abs(averaged.kernel[...] - model.kernel[...]).max() > 1e-3


@pytest.mark.parametrize(
    "after",
    [optax.scale(0.5), js.scale_by_plateau(js.every(1)), js.scale_by_abel(0.5, js.every(1))],
)
def test_what_moves_y_otherwise_than_z_is_refused(after):
    w = jnp.asarray(START, jnp.float32)
    with pytest.raises(ValueError, match="put them into its base optimizer"):
        js.averaged_params(optax.chain(sgd(), after).init(w), w)
    base = schedule_free(optax.chain(optax.sgd(RATE), after), RATE)
    np.testing.assert_array_equal(js.averaged_params(base.init(w), w), w)


def test_an_average_of_y_is_refused():
    w = jnp.asarray(START, jnp.float32)
    for tx in (
        optax.chain(sgd(), js.average_params(js.every(1))),
        schedule_free(optax.chain(optax.sgd(RATE), js.average_params(js.every(1))), RATE),
    ):
        with pytest.raises(ValueError, match="an average itself, leave averaging out"):
            js.averaged_params(tx.init(w), w)
