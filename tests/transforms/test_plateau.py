"""scale_by_plateau against recorded traces of torch's ReduceLROnPlateau."""

import collections
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.training.train_state import TrainState

import jaxsched as js

# Recorded by record_torch_plateau.py with torch 2.13.
TRACES = json.loads(pathlib.Path(__file__).with_name("torch_plateau.json").read_text())
EVERY_UPDATE = js.every(1)


def observe(tx, walk):
    """The states after the updates that observe the values of the walk, stacked."""

    def step(state, value):
        _, state = tx.update(jnp.ones(()), state, value=value)
        return state, state

    # Update 0 does not observe.
    _, state = tx.update(jnp.ones(()), tx.init(jnp.zeros(())), value=jnp.float32(0.0))
    return jax.lax.scan(step, state, jnp.asarray(walk, jnp.float32))[1]


def test_equals_torch_on_every_recorded_trace():
    by_modes = collections.defaultdict(list)
    for trace in TRACES:
        by_modes[trace["options"]["mode"], trace["options"]["threshold_mode"]].append(trace)
    assert len(by_modes) == 4
    num_cuts = 0
    for (mode, threshold_mode), traces in by_modes.items():

        def ours(numbers, walk, mode=mode, threshold_mode=threshold_mode):
            tx = js.scale_by_plateau(
                EVERY_UPDATE, mode=mode, threshold_mode=threshold_mode, **numbers
            )
            return observe(tx, walk)

        names = ("factor", "patience", "threshold", "cooldown", "eps")
        numbers = {n: np.array([t["options"][n] for t in traces], np.float32) for n in names}
        numbers["min_scale"] = np.array([t["options"]["min_lr"] for t in traces], np.float32)
        walks = np.array([t["walk"] for t in traces], np.float32)  # None becomes NaN
        states = jax.jit(jax.vmap(ours))(numbers, walks)
        expected = {n: [t[n] for t in traces] for n in ("lr", "num_bad", "cooldown_left")}
        np.testing.assert_allclose(states.scale, expected["lr"], rtol=1e-5)
        np.testing.assert_array_equal(states.num_bad, expected["num_bad"])
        np.testing.assert_array_equal(states.cooldown_left, expected["cooldown_left"])
        num_cuts += sum(len(set(t["lr"])) - 1 for t in traces)
    assert num_cuts > 500  # the recorded walks do decay


def test_defaults_are_those_of_torch():
    """torch 2.13 on a constant 1: eleven bad observations after the first, then a decay."""
    scales = observe(js.scale_by_plateau(EVERY_UPDATE), [1.0] * 23).scale
    np.testing.assert_allclose(scales, [1.0] * 11 + [0.1] * 11 + [0.01], rtol=1e-6)


@pytest.mark.parametrize("patience", [1, 3])
def test_first_decay_is_one_after_that_of_optax(patience):
    """Optax counts the patience-th bad observation, torch the one after."""
    theirs = optax.contrib.reduce_on_plateau(patience=patience + 1, factor=0.1, rtol=1e-4)
    update = jax.jit(theirs.update)
    state, expected = theirs.init(jnp.zeros(())), []
    for _ in range(8):
        _, state = update(jnp.ones(()), state, value=1.0)
        expected.append(float(state.scale))
    ours = observe(js.scale_by_plateau(EVERY_UPDATE, patience=patience), [1.0] * 8).scale
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_scale_acts_at_every_update_and_observes_only_where_at_is_true():
    tx = js.scale_by_plateau(js.every(3), factor=0.5, patience=0)
    update = jax.jit(tx.update)
    state, scales = tx.init(jnp.zeros(())), []
    for step in range(12):
        # The values in between would reset the count or decay if they were observed.
        value = 1.0 if step % 3 == 0 else 1e-3 * (12 - step)
        updates, state = update(jnp.ones(()), state, value=value)
        scales.append(float(updates))
    assert scales == [1.0] * 6 + [0.5] * 3 + [0.25] * 3


def test_composes_with_warm_up_outside_the_momentum():
    """By hand: lr 0.25, 0.5, 0.75, 1, 1 times the scale 1, 1, .5, .25, .125; momentum 0.5."""
    tx = optax.chain(
        optax.trace(0.5),
        optax.scale_by_learning_rate(js.Warmup(js.Constant(1.0), duration=4, start=0.25)),
        js.scale_by_plateau(EVERY_UPDATE, factor=0.5, patience=0),
    )
    lr = js.Warmup(js.Constant(1.0), duration=4, start=0.25)
    update = jax.jit(tx.update)
    state, buffer = tx.init(jnp.zeros(())), 0.0
    for step, scale in enumerate([1.0, 1.0, 0.5, 0.25, 0.125]):
        updates, state = update(jnp.ones(()), state, value=1.0)
        buffer = 0.5 * buffer + 1
        assert float(updates) == pytest.approx(-float(lr(step)) * scale * buffer, rel=1e-6)


def test_missing_value_is_named():
    tx = js.scale_by_plateau(EVERY_UPDATE)
    with pytest.raises(TypeError, match="'value'"):
        tx.update(jnp.ones(()), tx.init(jnp.zeros(())))


def test_flaxs_train_state_is_updated_as_the_error_says():
    tx = optax.chain(optax.sgd(0.5), js.scale_by_plateau(EVERY_UPDATE, factor=0.5, patience=0))
    state = TrainState.create(apply_fn=None, params={"w": jnp.ones(())}, tx=tx)
    with pytest.raises(TypeError, match=r"call state\.tx\.update\(grads, state\.opt_state, "):
        state.apply_gradients(grads=state.params)
    grads = {"w": jnp.ones(())}
    for _ in range(3):  # the second and third observe 2.0; the third has a bad one
        updates, opt_state = state.tx.update(grads, state.opt_state, state.params, value=2.0)
        params = optax.apply_updates(state.params, updates)
        state = state.replace(params=params, opt_state=opt_state, step=state.step + 1)
    assert float(state.params["w"]) == 1 - 0.5 - 0.5 - 0.25


def test_any_first_value_is_better_than_none():
    for mode in ("min", "max"):
        for value in (0.0, 1e38):
            state = observe(js.scale_by_plateau(EVERY_UPDATE, mode=mode), [np.nan, value])
            np.testing.assert_array_equal(state.num_bad, [1, 0])
            assert float(state.best[-1]) == np.float32(value)


def test_patience_without_end_never_decays():
    tx = js.scale_by_plateau(EVERY_UPDATE, patience=10**12)
    np.testing.assert_array_equal(observe(tx, [1.0] * 30).scale, 1)


@pytest.mark.parametrize("value", [-0.5, np.float32(-0.5), jnp.float32(-0.5)])
def test_negative_value_in_rel_mode_is_refused_with_the_fix(value):
    tx = js.scale_by_plateau(EVERY_UPDATE)
    with pytest.raises(ValueError, match=r"got -0.5.*threshold_mode='abs'"):
        tx.update(jnp.ones(()), tx.init(jnp.zeros(())), value=value)


def test_negative_values_work_in_abs_mode():
    tx = js.scale_by_plateau(EVERY_UPDATE, threshold_mode="abs", threshold=0.1, patience=1)
    scales = observe(tx, [-1.0, -1.2, -1.25, -1.25, -1.25]).scale
    np.testing.assert_allclose(scales, [1, 1, 1, 0.1, 0.1], rtol=1e-6)


def test_value_of_many_examples_is_refused():
    tx = js.scale_by_plateau(EVERY_UPDATE)
    with pytest.raises(ValueError, match=r"scalar.*shape \(3,\)"):
        tx.update(jnp.ones(()), tx.init(jnp.zeros(())), value=jnp.ones(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 10.0}, "factor between 0 and 1, got factor=10.0"),
        ({"patience": -1}, "patience to be a whole number"),
        ({"patience": float("inf")}, "patience to be a whole number"),
        ({"factor": js.Linear(0.1, 0.5, 9)}, "factor to be a number, got Linear"),
        ({"cooldown": 0.5}, "cooldown to be a whole number"),
        ({"threshold": -1e-4}, "threshold of at least 0"),
        ({"mode": "lower"}, "mode to be one of .* got 'lower'"),
        ({"threshold_mode": "relative"}, "threshold_mode to be one of .* got 'relative'"),
        ({"min_scale": 1.0}, "min_scale from 0 to below 1"),
        ({"eps": -1.0}, "eps of at least 0"),
        ({"at": 391}, r"predicate .* jaxsched\.every\(391\)"),
    ],
)
def test_wrong_arguments_are_refused_when_built(options, message):
    with pytest.raises(ValueError, match=message):
        js.scale_by_plateau(**({"at": EVERY_UPDATE} | options))
