"""Norms by layer against NumPy, and the three terms against the real change of |w|²."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Augment
from jaxsched.train import Program, train
from jaxsched.train.step.weight_norms import NormChange, layer_names, squared_norms


def test_norms_by_layer():
    rng = np.random.default_rng(0)
    kernel, bias, stem = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(2, 2))
    params = {"head": {"kernel": kernel, "bias": bias}, "block": {"stem": {"kernel": stem}}}
    expected = {"block/stem": (stem**2).sum(), "head": (kernel**2).sum() + (bias**2).sum()}
    names = layer_names(jax.tree.map(np.float32, params))
    ours = squared_norms(jax.tree.map(np.float32, params))
    assert dict(zip(names, ours.tolist(), strict=True)) == pytest.approx(
        {name: expected[name] for name in names}
    )
    assert set(names) == set(expected)


@pytest.mark.parametrize("coupling", ["l2", "times_lr", "independent"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rates_against_the_update_itself(coupling, momentum):
    """Once a constant gradient has filled the buffer, w moves by −η g and shrinks by η λ w."""
    optimizer = js.SGD(0.1, momentum, weight_decay=1e-3, coupling=coupling)
    tx = optimizer.transformation(js.Plan((js.Phase(1, 1),), num_examples=400))
    w = np.array([50.0, 0.0], np.float32)
    state, update = tx.init(w), jax.jit(tx.update)
    for _ in range(200):  # w stays the same, so the buffer fills with one gradient and one decay
        updates, state = update(np.array([0.0, 1.0], np.float32), state, w)
    rate, shrinkage = optimizer.effective_rates(state)
    np.testing.assert_allclose(updates, [-50 * float(shrinkage), -float(rate)], rtol=1e-4)


def plain_sgd(experiment, **changes):
    """A run that the formula describes: without momentum, with decay as part of the gradient."""
    optimizer = js.SGD(0.02, weight_decay=0.01)
    phases = (js.Phase(epochs=2, batch_size=20),)
    return dataclasses.replace(
        experiment, optimizer=optimizer, phases=phases, weight_norms=True, **changes
    )


@pytest.fixture(scope="module")
def rows(experiment):
    program = Program(plain_sgd(experiment), experiment.task.data.load())
    rows = []
    train(program, 0, on_evaluation=rows.append)
    initial = program.squared_norms(program.init(0))
    return dict(zip(program.layer_names, initial.tolist(), strict=True)), rows


def test_the_terms_add_up_to_the_change_in_every_layer(rows):
    """The rest is η² λ (λ |w|² + 2 g·w), 2 % of the decay's term here; the paper omits it too."""
    before, rows = rows
    for row in rows:
        for layer, norm in row.layers.items():
            terms = {term: row.norm_change[term][layer] for term in NormChange._fields}
            tolerance = 2e-4 * (abs(terms["decay"]) + abs(terms["alignment"])) + 1e-6 * norm
            assert sum(terms.values()) == pytest.approx(norm - before[layer], abs=tolerance)
        before = row.layers
    assert len(rows) == 2


def test_gradients_before_a_norm_are_at_right_angles_to_the_weights(rows):
    _, rows = rows
    change = rows[0].norm_change
    for layer in ("stem_conv", "stage1_block1/conv1", "stage1_block1/conv2"):
        assert abs(change["alignment"][layer]) < 1e-3 * abs(change["decay"][layer])
    assert abs(change["alignment"]["head"]) > 0.1 * abs(change["decay"]["head"])


def test_the_total_is_that_of_the_layers(rows):
    _, rows = rows
    for row in rows:
        assert row.squared_norm == pytest.approx(sum(row.layers.values()), rel=1e-6)


def test_adam_has_layers_but_no_terms_and_others_have_neither(experiment):
    adam = dataclasses.replace(
        plain_sgd(experiment).with_task(augment=Augment(0, flip=False)), optimizer=js.Adam(1e-3)
    )
    found = []
    train(Program(adam, adam.task.data.load()), 0, on_evaluation=found.append)
    assert found[0].layers and found[0].norm_change is None
    assert found[0].squared_norm == pytest.approx(sum(found[0].layers.values()), rel=1e-6)
