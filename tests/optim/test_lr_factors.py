"""Slower and frozen groups against closed forms, NumPy and optimizers of their own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.experiment import describe

PLAN = js.Plan((js.Phase(epochs=100, batch_size=10),), num_examples=10)
FACTORS = (("stem*", 0.0), ("stage*", 0.25))
WEIGHTS = {
    "head": {"kernel": np.float32([1.0, -2.0]), "bias": np.float32([0.5])},
    "stage1": {"conv": {"kernel": np.float32([3.0, 0.3])}},
    "stem": {"kernel": np.float32([7.0])},
}


def run(optimizer, count=5):
    """The parameters before and after each update, and the last state."""
    tx = optimizer.transformation(PLAN)
    params, state, path = jax.tree.map(jnp.asarray, WEIGHTS), tx.init(WEIGHTS), []
    update = jax.jit(tx.update)
    rng = np.random.default_rng(0)
    for _ in range(count):
        grads = jax.tree.map(lambda w: jnp.float32(rng.normal(size=w.shape)), params)
        updates, state = update(grads, state, params)
        path.append(params)
        params = optax.apply_updates(params, updates)
    return [*path, params], state


OPTIMIZERS = {
    "l2": js.SGD(0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "times_lr": js.SGD(0.1, momentum=0.9, weight_decay=0.1, coupling="times_lr"),
    "AdamW": js.AdamW(0.1, weight_decay=0.1),
    "FromOptax": js.FromOptax(optax.lion, {"learning_rate": 0.1, "weight_decay": 0.1}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_group_moves_as_with_a_learning_rate_of_its_own(name):
    optimizer = OPTIMIZERS[name]
    grouped, _ = run(dataclasses.replace(optimizer, lr_factors=FACTORS))
    whole, _ = run(optimizer)
    slow_rate = {"lr": 0.025} if hasattr(optimizer, "lr") else {"learning_rate": 0.025}
    if isinstance(optimizer, js.FromOptax):
        slower = dataclasses.replace(optimizer, arguments={**optimizer.arguments, **slow_rate})
    else:
        slower = optimizer.with_schedules(slow_rate)
    slow, _ = run(slower)
    for ours, fast, slowed in zip(grouped, whole, slow, strict=True):
        np.testing.assert_array_equal(ours["head"]["kernel"], fast["head"]["kernel"])
        np.testing.assert_array_equal(ours["stem"]["kernel"], WEIGHTS["stem"]["kernel"])
        np.testing.assert_allclose(
            ours["stage1"]["conv"]["kernel"], slowed["stage1"]["conv"]["kernel"], rtol=1e-6
        )


def test_a_plain_update_is_exactly_lr_times_factor_times_the_gradient():
    tx = js.SGD(0.5, lr_factors=FACTORS).transformation(PLAN)
    updates, _ = jax.jit(tx.update)(WEIGHTS, tx.init(WEIGHTS), WEIGHTS)
    for layer, factor in ("head", 1.0), ("stage1", 0.25), ("stem", 0.0):
        expected = jax.tree.map(lambda g, factor=factor: -0.5 * factor * g, WEIGHTS[layer])
        jax.tree.map(np.testing.assert_array_equal, updates[layer], expected)


def test_no_buffer_is_kept_for_a_frozen_layer():
    _, state = run(js.AdamW(0.1, lr_factors=FACTORS), count=1)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(state)]
    assert [path for path in paths if "stage1" in path]
    assert not [path for path in paths if "stem" in path]
    assert float(js.hyperparams(state)["weight_decay"]) == pytest.approx(0.01)


def test_the_first_pattern_counts_and_may_name_a_parameter():
    optimizer = js.SGD(1.0, lr_factors=(("head/bias", 2.0), ("head", 0.5), ("*", 0.0)))
    expected = {
        "head": {"kernel": 0.5, "bias": 2.0},
        "stage1": {"conv": {"kernel": 0.0}},
        "stem": {"kernel": 0.0},
    }
    assert optimizer.factors_of(WEIGHTS) == expected


def test_abel_noise_and_averages_see_what_is_trained():
    """Against NumPy on the path of the weights; a frozen layer's average is the layer itself."""
    optimizer = js.SGD(
        0.1,
        abel=js.Abel(0.5, last_decay=50),
        averaging=js.Averaging(start=2),
        lr_factors=FACTORS,
    )
    path, state = run(optimizer)
    trained = [leaf for name in ("head", "stage1") for leaf in jax.tree.leaves(path[4][name])]
    measured = state["trained"].inner_state["abel"].squared_norm
    assert float(measured) == pytest.approx(sum(float((w**2).sum()) for w in trained), rel=1e-6)
    averaged = js.averaged_params(state, path[-1])
    np.testing.assert_array_equal(averaged["stem"]["kernel"], WEIGHTS["stem"]["kernel"])
    mean = np.mean([np.float64(weights["head"]["kernel"]) for weights in path[3:]], axis=0)
    np.testing.assert_allclose(averaged["head"]["kernel"], mean, rtol=1e-6)


def test_a_schedule_free_optimizer_may_train_the_rest_of_a_frozen_network():
    """The rest against the optimizer alone on it; another factor would move y without z."""
    given = (optax.contrib.schedule_free_sgd, {"learning_rate": 0.1})
    path, state = run(js.FromOptax(*given, lr_factors=(("stem*", 0.0), ("head", 1.0))))
    averaged = js.averaged_params(state, path[-1])
    np.testing.assert_array_equal(averaged["stem"]["kernel"], WEIGHTS["stem"]["kernel"])
    everything, state_of_all = run(js.FromOptax(*given))
    whole = js.averaged_params(state_of_all, everything[-1])
    for name in ("head", "stage1"):
        jax.tree.map(np.testing.assert_array_equal, averaged[name], whole[name])
    slower = js.FromOptax(*given, lr_factors=(("stem*", 0.5),))
    with pytest.raises(ValueError, match="factors of layers"):
        js.averaged_params(slower.transformation(PLAN).init(WEIGHTS), WEIGHTS)


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ((("steem*", 0.0),), "'steem*', one of no layer; the layers are head, stage1/conv, stem."),
        ((("*", 0.5), ("head", 1.0)), "'head', one whose layers earlier patterns name already"),
        ((("*", 0.0),), "SGD needs lr_factors that leave a layer to train"),
    ],
)
def test_patterns_of_no_layer_are_refused_with_the_layers(factors, said):
    with pytest.raises(ValueError, match="SGD") as error:
        js.SGD(0.1, lr_factors=factors).transformation(PLAN).init(WEIGHTS)
    assert said in str(error.value)


@pytest.mark.parametrize("wrong", [("stem", 0.0), (("stem", -1.0),), (("stem",),), {"stem": 0.0}])
def test_what_are_no_pairs_of_pattern_and_factor_is_refused(wrong):
    with pytest.raises(ValueError, match="SGD needs lr_factors as pairs"):
        js.SGD(0.1, lr_factors=wrong)


def test_the_description_of_older_experiments_stays():
    assert "lr_factors" not in describe(js.SGD(0.1))
    assert describe(js.SGD(0.1, lr_factors=[["a", 1]]))["lr_factors"] == [["a", 1.0]]
