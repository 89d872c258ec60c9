"""Optimizer chains against numbers recorded from torch, float64 references and Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

# One update an epoch, so that schedules in epochs and in updates have the same clock.
PLAN = js.Plan((js.Phase(epochs=100, batch_size=10),), num_examples=10)


def descend(optimizer, gradients, w=1.0):
    """The weight after each update, and the hyper-parameters that each one reports."""
    tx = optimizer.transformation(PLAN)
    w = jnp.float32(w)
    state, weights, reports = tx.init(w), [], []
    update = jax.jit(tx.update)
    for gradient in gradients:
        updates, state = update(jnp.float32(gradient), state, w)
        w = optax.apply_updates(w, updates)
        weights.append(float(w))
        reports.append({name: float(value) for name, value in js.hyperparams(state).items()})
    return weights, reports


DROP = js.MultiStep(0.1, milestones=(3,), factor=0.1)

# Recorded from torch 2.13: torch.optim.SGD on w = 1 with gradient 1, the lr set before each step.
TORCH = [
    (js.SGD(DROP, momentum=0.9), [0.9, 0.71, 0.439, 0.40461, 0.36366, 0.31680]),
    (js.SGD(DROP, momentum=0.9, nesterov=True), [0.81, 0.539, 0.1951, 0.15415]),
    (js.SGD(0.1, momentum=0.9, weight_decay=0.1), [0.89, 0.6821, 0.38817]),
]


@pytest.mark.parametrize(("optimizer", "weights"), TORCH, ids=["momentum", "nesterov", "l2"])
def test_sgd_equals_recorded_torch(optimizer, weights):
    ours, _ = descend(optimizer, [1.0] * len(weights))
    np.testing.assert_allclose(ours, weights, atol=6e-6)


# By hand: w = 1, gradient 1, lr 0.1, weight decay 0.1, momentum 0.9.
COUPLINGS = {
    "l2": [0.89, 0.6821, 0.38817],
    "times_lr": [0.89, 0.6911, 0.41319],
    "independent": [0.8, 0.53, 0.206],
}


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_coupling_of_weight_decay_and_learning_rate(coupling):
    optimizer = js.SGD(0.1, momentum=0.9, weight_decay=0.1, coupling=coupling)
    ours, _ = descend(optimizer, [1.0] * 3)
    np.testing.assert_allclose(ours, COUPLINGS[coupling], atol=1e-5)


def test_all_three_schedules_against_float64():
    lr = js.OneCycle(0.2, duration=20)
    momentum = lr.momentum(0.95, 0.8)
    weight_decay = js.Cosine(0.05, duration=20)
    gradients = np.random.default_rng(0).normal(size=20)
    ours, reports = descend(js.SGD(lr, momentum, weight_decay), gradients)
    w, trace, expected = 1.0, 0.0, []
    for t, gradient in enumerate(gradients):
        trace = float(momentum(t)) * trace + gradient + float(weight_decay(t)) * w
        w -= float(lr(t)) * trace
        expected.append(w)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    for t, report in enumerate(reports):  # the values that this update used
        assert report == {
            "learning_rate": pytest.approx(float(lr(t)), rel=1e-6),
            "momentum": pytest.approx(float(momentum(t)), rel=1e-6),
            "weight_decay": pytest.approx(float(weight_decay(t)), rel=1e-6),
        }


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (js.Adam(lr=DROP), optax.adam(DROP)),
        (js.AdamW(lr=DROP, weight_decay=0.1), optax.adamw(DROP, weight_decay=0.1)),
        (js.FromOptax(optax.lion, {"learning_rate": DROP, "b1": 0.8}), optax.lion(DROP, b1=0.8)),
    ],
    ids=["adam", "adamw", "from_optax"],
)
def test_adam_and_friends_equal_optax(ours, theirs):
    gradients = np.random.default_rng(1).normal(size=6)
    weights, _ = descend(ours, gradients)
    w, expected = jnp.float32(1.0), []
    state = theirs.init(w)
    for gradient in gradients:
        updates, state = theirs.update(jnp.float32(gradient), state, w)
        w = optax.apply_updates(w, updates)
        expected.append(float(w))
    # With a traced b2, 1 - b2 is computed in float32; Optax computes it in float64.
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_names_in_the_chain_are_api():
    state = js.SGD(0.1, momentum=0.9, weight_decay=1e-4).transformation(PLAN).init(jnp.zeros(()))
    assert list(state) == ["weight_decay", "momentum", "learning_rate"]
    state = js.AdamW(0.1).transformation(PLAN).init(jnp.zeros(()))
    assert list(state) == ["moments", "weight_decay", "learning_rate"]


def test_vanilla_sgd_keeps_no_buffer():
    state = js.SGD(0.1).transformation(PLAN).init(jnp.zeros((1000,)))
    assert all(leaf.size == 1 for leaf in jax.tree.leaves(state))


def test_hyperparams_stay_float32_for_bfloat16_weights():
    tx = js.SGD(0.1, momentum=0.9).transformation(PLAN)
    w = jnp.ones((), jnp.bfloat16)
    _, state = tx.update(w, tx.init(w), w)
    assert all(value.dtype == jnp.float32 for value in js.hyperparams(state).values())
    assert float(js.hyperparams(state)["learning_rate"]) == np.float32(0.1)


def test_hyperparams_found_in_a_nested_chain_and_refused_when_ambiguous():
    inner = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    nested = optax.chain(optax.clip(1.0), optax.chain(optax.identity(), inner))
    report = js.hyperparams(nested.init(jnp.zeros(())))
    assert float(report["learning_rate"]) == np.float32(0.1)
    with pytest.raises(ValueError, match="'learning_rate' twice"):
        js.hyperparams(optax.chain(inner, inner).init(jnp.zeros(())))


def test_a_setting_may_be_a_number_or_any_function_of_epochs():
    schedules = js.SGD(lambda epoch: 1 / (1 + epoch), momentum=0.9).schedules()
    assert schedules["momentum"] == js.Constant(0.9)
    assert float(schedules["lr"](3)) == 0.25
    with pytest.raises(ValueError, match=r"SGD needs a schedule or a function of time, got '0.1'"):
        js.SGD("0.1")


def test_times_with_a_unit_are_resolved_in_the_chain():
    _, reports = descend(js.SGD(js.MultiStep(1.0, ("2%",))), [0.0] * 4)
    assert [report["learning_rate"] for report in reports] == pytest.approx([1, 1, 0.1, 0.1])


def test_unknown_coupling_is_refused():
    with pytest.raises(ValueError, match=r"must be one of .* got 'L2'"):
        js.SGD(0.1, weight_decay=0.1, coupling="L2").transformation(PLAN)
