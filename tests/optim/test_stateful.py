"""Specs of stateful transformations: which updates their times mean, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jaxsched as js

PLAN = js.Plan((js.Phase(20, 100),), num_examples=1000)


def collected(averaging, plan):
    """The counts of updates after which weights are collected, found by running the chain."""
    tx = averaging.transformation(plan)

    def step(state, _):
        before = state.num_averaged
        _, state = tx.update(jnp.zeros(()), state, jnp.zeros(()))
        return state, state.num_averaged > before

    _, hits = jax.lax.scan(step, tx.init(jnp.zeros(())), None, length=plan.total_steps)
    return [int(i) + 1 for i in np.flatnonzero(hits)]


def test_weights_are_collected_at_the_ends_of_epochs():
    assert collected(js.Averaging(start="75%"), PLAN) == [160, 170, 180, 190, 200]
    assert collected(js.Averaging(start=10, every=4), PLAN) == [140, 180]
    # The first end of an epoch after 12.5 is 13.
    assert collected(js.Averaging(start=12.5, every=3), PLAN) == [150, 180]


def test_weights_are_collected_every_so_many_updates():
    assert collected(js.Averaging(start="180 updates", every="7 updates"), PLAN) == [182, 189, 196]
    assert collected(js.Averaging(start=0, every="100 updates"), PLAN) == [100, 200]


@settings(max_examples=15, deadline=None)
@given(
    phases=st.lists(
        st.builds(js.Phase, epochs=st.sampled_from([1, 1.5, 2.25]), batch_size=st.integers(7, 60)),
        min_size=1,
        max_size=3,
    ),
    start=st.floats(0, 0.4),
    every=st.integers(1, 2),
)
def test_epochs_end_where_the_plan_says_however_batches_straddle_them(phases, start, every):
    """Compared with a plain count of examples: the update that crosses the end of an epoch."""
    plan = js.Plan(tuple(phases), num_examples=60)
    # One update may be all there is, and a later start is an error.
    assume(plan.first_step(start) < plan.total_steps)
    examples, expected, first = 0, [], plan.first_step(start)
    ends_before = round(start * 60) // 60
    for step in range(plan.total_steps):
        after = examples + plan.batch_size_at(step)
        crossed = after // 60 > examples // 60
        if step >= first and crossed and (after // 60 - ends_before) % every == 0:
            expected.append(step + 1)
        examples = after
    assert collected(js.Averaging(start=start, every=every), plan) == expected


def test_the_chain_has_its_links_in_order_and_by_name():
    optimizer = js.SGD(
        0.1,
        momentum=0.9,
        weight_decay=1e-4,
        noise=js.NoiseEstimate(),
        abel=js.Abel(),
        plateau=js.Plateau(),
        averaging=js.Swag(rank=2),
    )
    state = optimizer.transformation(PLAN, (1000, 2000)).init(jnp.zeros((2,)))
    stateful = ["abel", "plateau", "averaging"]
    assert list(state) == ["noise", "weight_decay", "momentum", "learning_rate", *stateful]
    assert list(optimizer.stateful_specs()) == ["noise", *stateful]
    assert list(js.AdamW(0.1, abel=js.Abel()).transformation(PLAN).init(jnp.zeros(()))) == [
        "moments", "weight_decay", "learning_rate", "abel"
    ]  # fmt: skip


def scales(tx, params, values, name):
    """The factor of the learning rate at each update."""

    def step(state, inputs):
        w, value = inputs
        _, state = tx.update(jnp.zeros(()), state, w, value=value)
        return state, js.hyperparams(state)[name]

    return jax.lax.scan(step, tx.init(jnp.zeros(())), (params, values))[1]


def test_abel_measures_at_epoch_starts_and_decays_at_last_decay():
    optimizer = js.SGD(0.1, abel=js.Abel(0.5, last_decay="85%"))
    # |w| by epoch: falls, turns at 3, grows, turns again, which the start of epoch 7 detects.
    by_epoch = np.array([9, 5, 4, 3, 4, 5, 6, 5, *[4] * 12], np.float32)
    ours = scales(
        optimizer.transformation(PLAN), np.repeat(by_epoch, 10), jnp.zeros(200), "abel_scale"
    )
    expected = np.ones(200)
    expected[70:] = 0.5
    expected[170:] = 0.25
    np.testing.assert_allclose(ours, expected)


def test_plateau_observes_each_evaluation_once():
    """Evaluations every 25 updates, whatever the epochs; the value stays until the next one."""
    optimizer = js.SGD(0.1, plateau=js.Plateau(factor=0.5, patience=1))
    marks = tuple(range(2500, 20_001, 2500))  # examples
    losses = np.array([np.inf, 5, 4, 4, 4, 3, 3, 3], np.float32)  # in force from update 0, 25, …
    ours = scales(
        optimizer.transformation(PLAN, marks),
        jnp.zeros(200),
        np.repeat(losses, 25),
        "plateau_scale",
    )
    expected = np.ones(200)
    expected[100:] = 0.5  # 4 again twice
    expected[175:] = 0.25  # 3 again twice
    np.testing.assert_allclose(ours, expected)


def test_kernels_alone_may_count_in_the_norm():
    tx = js.Abel(weights="kernels").transformation(PLAN)
    params = {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full((2,), 100.0)}
    state = tx.init(params)
    for _ in range(11):
        _, state = tx.update(params, state, params)
    assert float(state.squared_norm) == 16


def test_hyperparams_reports_the_learning_rate_and_its_scale():
    tx = js.SGD(0.5, abel=js.Abel(0.5, last_decay=0.1), momentum=0.9).transformation(PLAN)
    state = tx.init(jnp.ones(()))
    for _ in range(2):
        _, state = tx.update(jnp.ones(()), state, jnp.ones(()))
    found = js.hyperparams(state)
    assert (float(found["learning_rate"]), float(found["abel_scale"])) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: js.NoiseEstimate(decay=1.0), "decay from 0 to below 1, got decay=1.0"),
        (lambda: js.Abel(decay_factor=2), "decay_factor between 0 and 1, got 2"),
        (lambda: js.Abel(stop_after=-1), "stop_after of at least 0 epochs, got -1"),
        (lambda: js.Abel(last_decay=30).transformation(PLAN), "before the last, got 30, which is"),
        (lambda: js.Abel(last_decay="85 percent").transformation(PLAN), "got '85 percent'"),
        (lambda: js.Plateau(patience=1.5), "patience to be a whole number"),
        (lambda: js.Plateau(factor=10), "a tenth is 0.1"),
        (lambda: js.Averaging(every=0.5), "whole epochs or whole updates"),
        (lambda: js.Averaging(every="30%"), "whole epochs or whole updates"),
        (lambda: js.Averaging(decay=1.0), "decay between 0 and 1"),
        (lambda: js.Averaging(statistics_examples=0), "at least 1, got 0"),
        (lambda: js.Averaging(start=20).transformation(PLAN), "start before the last of 200"),
        (lambda: js.Swag(rank=1), "rank"),
        (lambda: js.Swag(every="2.5 updates"), "whole epochs or whole updates"),
        (lambda: js.Averaging(every="often"), "Averaging needs every to be a time .* got 'often'"),
        (lambda: js.Averaging(start=-1), "Averaging needs start to be a time of at least 0"),
        (lambda: js.Averaging(start="-5 epochs"), "Averaging needs start to be a time of at least"),
        (lambda: js.Averaging(start=float("nan")), "Averaging needs start to be a time"),
        (lambda: js.Averaging(statistics_examples=float("nan")), "statistics_examples to be a who"),
        (lambda: js.Averaging(decay="0.9"), "Averaging needs decay to be a finite number or None"),
        (lambda: js.Swag(rank=2.5), "Swag needs rank to be a whole number, got 2.5"),
        (lambda: js.Abel(decay_factor="x"), "Abel needs decay_factor to be a finite number, got"),
        (lambda: js.Abel(last_decay="late"), "Abel needs last_decay to be a time .* or None, got"),
        (lambda: js.Abel(weights="some"), "Abel needs weights to be one of .* got 'some'"),
        (lambda: js.Abel(guard_rising=1), "Abel needs guard_rising to be True or False, got 1"),
        (lambda: js.Abel(stop_after=float("nan")), "Abel needs stop_after to be a finite number"),
        (lambda: js.Abel(stop_below="1%"), "Abel needs stop_below to be a finite number or None"),
        (lambda: js.Plateau(metric="loss"), "got 'loss'; write test_loss or train_loss"),
        (lambda: js.Plateau(threshold_mode="x"), "Plateau needs threshold_mode to be one of"),
        (lambda: js.Plateau(patience=True), "Plateau needs patience to be a whole number"),
        (lambda: js.Plateau(eps=float("nan")), "Plateau needs eps to be a finite number"),
        (lambda: js.NoiseEstimate(decay=[0.9]), "NoiseEstimate needs decay to be a finite number"),
    ],
)
def test_impossible_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
