"""Norms by layer against NumPy, and the three terms against the real change of |w|²."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Augment
from jaxsched.experiment import with_value
from jaxsched.models import BatchNorm
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
    rate, shrinkage, _ = optimizer.effective_rates(state)
    np.testing.assert_allclose(updates, [-50 * float(shrinkage), -float(rate)], rtol=1e-4)


def test_what_is_spared_by_the_decay_has_no_term_of_it():
    params = {"head": {"kernel": np.ones((2, 3), np.float32), "bias": np.ones(3, np.float32)}}
    optimizer = js.SGD(0.5, weight_decay=0.1, decay_mask="kernels")
    tx = optimizer.transformation(js.Plan((js.Phase(1, 1),), num_examples=4))
    zeros = jax.tree.map(np.zeros_like, params)
    updates, state = tx.update(zeros, tx.init(params), params)
    change = NormChange.of(zeros, params, optimizer.effective_rates(state))
    after = jax.tree.map(np.add, params, updates)
    # To first order in the decay, of which the second is half of a twentieth.
    expected = squared_norms(after) - squared_norms(params)
    np.testing.assert_allclose(change.decay, expected, rtol=0.03)
    assert change.decay.tolist() == pytest.approx([-2 * 0.05 * 6])


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


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["jit", "pmap"])
def test_factors_of_the_learning_rate_are_in_the_terms_and_in_the_run(experiment, driver):
    """The terms add up in slower layers too, and nothing of a frozen layer changes."""
    optimizer = js.SGD(
        0.02,
        weight_decay=0.01,
        noise=js.NoiseEstimate(),
        lr_factors=(("stem*", 0.0), ("stage1*", 0.5)),
    )
    slower = dataclasses.replace(
        plain_sgd(experiment, driver=driver, num_devices=2, max_device_batch=5),
        optimizer=optimizer,
    )
    slower = with_value(slower, "model.norm", BatchNorm(ghost=5))
    program, rows = Program(slower, experiment.task.data.load()), []
    first = jax.device_get(program.init(0))
    before = dict(zip(program.layer_names, squared_norms(first.params).tolist(), strict=True))
    outcome = train(program, 0, on_evaluation=rows.append)
    for layer, norm in rows[0].layers.items():
        terms = {term: rows[0].norm_change[term][layer] for term in NormChange._fields}
        tolerance = 2e-4 * (abs(terms["decay"]) + abs(terms["alignment"])) + 1e-6 * norm
        assert sum(terms.values()) == pytest.approx(norm - before[layer], abs=tolerance)
        assert (terms["gradient"] == 0) == layer.startswith("stem")
    assert rows[0].noise is not None
    last = jax.device_get(outcome.state)
    for layer in first.params:
        changed = not np.array_equal(*(s.params[layer].get("kernel", 0) for s in (first, last)))
        assert changed == (layer == "head"), layer
    moved = first.batch_stats["stem_norm"]["mean"] != last.batch_stats["stem_norm"]["mean"]
    assert moved.all()  # the statistics follow the data all the same
