"""All transformations on Equinox's modules: arrays beside functions, static fields and None."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

VALUES = (9.0, 4.0, 3.0, 5.0, 5.0, 5.0, 2.0, 1.0)
INPUTS = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
TARGETS = INPUTS[:, :3] ** 2
KEY = jax.random.key(0)


def chain():
    """The whole house in one chain."""
    return optax.chain(
        js.estimate_noise(),
        optax.sgd(js.Cosine(0.1, 20), momentum=0.9),
        js.scale_by_abel(0.5, js.every(1), last_decay_at=4),
        js.scale_by_plateau(js.every(1), factor=0.5, patience=1),
        js.swag(js.every(2), rank=2),
    )


def same_numbers(ours, theirs):
    """Whether two trees have the same arrays, whatever holds them."""
    ours, theirs = ([x for x in jax.tree.leaves(t) if jnp.ndim(x)] for t in (ours, theirs))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_none_in_the_places_of_what_is_not_trained_changes_nothing(evaluations):
    """By hand what `eqx.filter` leaves of a module, against the same arrays alone."""
    w = {"weight": jnp.asarray(INPUTS), "bias": jnp.ones(4)}
    states, updates, tx = {}, {}, chain()
    for name, tree in {"alone": w, "filtered": w | {"activation": None, "key": None}}.items():
        state, update = tx.init(tree), jax.jit(tx.update)
        for value in VALUES:
            updates[name], state = update(tree, state, tree, **evaluations(value))
            tree = optax.apply_updates(tree, updates[name])
        states[name] = (state, tree)
    assert updates["filtered"]["activation"] is None
    same_numbers(updates["filtered"], updates["alone"])
    (filtered, module), (alone, plain) = states["filtered"], states["alone"]
    same_numbers(filtered, alone)
    module |= {"activation": jax.nn.relu, "key": KEY}  # what `eqx.combine` puts back
    for read in (js.averaged_params, lambda state, w: js.sample_swag(state, w, KEY)):
        found, expected = read(filtered, module), read(alone, plain)
        assert found["activation"] is jax.nn.relu
        assert found["key"] is KEY
        same_numbers([found["bias"], found["weight"]], [expected["bias"], expected["weight"]])


@pytest.fixture(
    scope="module",
    params=["is_inexact_array", pytest.param("is_array", marks=pytest.mark.slow)],
)
def run(request, evaluations):
    """A real module after a jitted loop; the weights and the gradients of each update."""
    eqx = pytest.importorskip("equinox")

    class Net(eqx.Module):
        layers: list
        dropout: Any
        steps: jax.Array
        scale: float
        activation: Any
        name: str = eqx.field(static=True)

        def __init__(self, key):
            first, second = jax.random.split(key)
            # The second layer's bias is None.
            self.layers = [eqx.nn.Linear(4, 6, key=first)]
            self.layers += [eqx.nn.Linear(6, 3, use_bias=False, key=second)]
            self.dropout, self.activation = eqx.nn.Dropout(0.1), jax.nn.relu
            self.steps, self.scale, self.name = jnp.int32(7), 1.5, "net"

        def __call__(self, x, key=None):
            x = self.dropout(self.activation(self.layers[0](x)), key=key)
            return self.scale * self.layers[1](x)

    is_trained = getattr(eqx, request.param)
    model, tx = Net(KEY), chain()
    opt_state = tx.init(eqx.filter(model, is_trained))

    @eqx.filter_jit
    def step(model, opt_state, key, value):
        @eqx.filter_grad
        def loss(model):
            return jnp.mean((jax.vmap(model)(INPUTS, jax.random.split(key, 8)) - TARGETS) ** 2)

        gradients, params = loss(model), eqx.filter(model, is_trained)
        updates, opt_state = tx.update(gradients, opt_state, params, **evaluations(value))
        return eqx.apply_updates(model, updates), opt_state, gradients

    weights, gradients = [arrays_of(model)], []
    for i, value in enumerate(VALUES):
        model, opt_state, found = step(model, opt_state, jax.random.fold_in(KEY, i), value)
        weights.append(arrays_of(model))
        gradients.append(arrays_of(found))
    return SimpleNamespace(
        eqx=eqx,
        model=model,
        parts=eqx.partition(model, is_trained),
        opt_state=opt_state,
        weights=weights,
        gradients=gradients,
    )


def arrays_of(model):
    """The trained arrays of a module in a dictionary."""
    first, second = model.layers
    return {"0_bias": first.bias, "0_weight": first.weight, "1_weight": second.weight}


def as_dictionary(w):
    """The arrays in the order of the module's fields."""
    return [w["0_weight"], w["0_bias"], w["1_weight"]]


def test_state_is_that_of_the_same_chain_on_arrays(run, evaluations):
    tx, w = chain(), as_dictionary(run.weights[0])
    state, update = tx.init(w), jax.jit(tx.update)
    for gradients, value, after in zip(run.gradients, VALUES, run.weights[1:], strict=True):
        updates, state = update(as_dictionary(gradients), state, w, **evaluations(value))
        w = optax.apply_updates(w, updates)
        same_numbers(w, as_dictionary(after))
    abel, plateau = run.opt_state[2:4]
    assert (float(abel.scale), float(plateau.scale)) == (float(state[2].scale), 0.5)
    assert float(abel.squared_norm) == pytest.approx(float(state[2].squared_norm), rel=1e-5)
    same_numbers(arrays_of(run.opt_state[-1].variance), arrays_by_name(state[-1].variance))
    ours, theirs = (js.gradient_noise(s) for s in (run.opt_state, state))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def arrays_by_name(w):
    return {"0_bias": w[1], "0_weight": w[0], "1_weight": w[2]}


def test_average_is_combined_back_or_read_of_the_whole_module(run):
    """Collected are the weights that updates 2, 4 and 6 made."""
    expected = {
        name: np.mean([np.float64(w[name]) for w in run.weights[3::2]], axis=0)
        for name in run.weights[0]
    }
    params, rest = run.parts
    combined = run.eqx.combine(js.averaged_params(run.opt_state, params), rest)
    for averaged in (
        combined,
        js.averaged_params(run.opt_state, run.model),
        run.eqx.filter_jit(js.averaged_params)(run.opt_state, run.model),
    ):
        same_numbers(arrays_of(averaged), expected)
        assert jax.tree.structure(averaged) == jax.tree.structure(run.model)
        assert (int(averaged.steps), averaged.scale, averaged.name) == (7, 1.5, "net")
        predicted = jax.vmap(run.eqx.nn.inference_mode(averaged))(INPUTS)
        hidden = np.maximum(INPUTS @ expected["0_weight"].T + expected["0_bias"], 0)
        np.testing.assert_allclose(predicted, 1.5 * hidden @ expected["1_weight"].T, rtol=1e-4)


def test_samples_are_drawn_under_vmap(run):
    params, rest = run.parts

    @jax.vmap
    def draw(key):
        model = run.eqx.combine(js.sample_swag(run.opt_state, params, key), rest)
        return arrays_of(model)["0_bias"]

    drawn = jax.jit(draw)(jax.random.split(KEY, 2000))
    values = np.array([w["0_bias"] for w in run.weights[3::2]], np.float64)
    means = np.cumsum(values, axis=0) / np.arange(1, len(values) + 1)[:, None]
    variance = (values.var(axis=0) + ((values - means)[-2:] ** 2).sum(axis=0)) / 2
    np.testing.assert_allclose(np.var(drawn, axis=0), variance, rtol=0.2)
