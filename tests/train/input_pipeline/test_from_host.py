"""Runs of streamed data against those of the same data on the device."""

import dataclasses
import gc
import threading

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Images, Streamed
from jaxsched.train import Program, evaluate_ensemble, train


@pytest.fixture(scope="module")
def averaging(experiment):
    """Batches that straddle epochs, two sizes, an average that looks at other examples."""
    optimizer = dataclasses.replace(
        experiment.optimizer, averaging=js.Averaging(start=1, statistics_examples=60)
    )
    return dataclasses.replace(experiment, optimizer=optimizer)


def streamed(experiment, **changes):
    return dataclasses.replace(experiment, data=Streamed(experiment.data), **changes)


def run(experiment, **options):
    rows, program = [], Program(experiment, experiment.data.load())
    outcome = train(program, 3, on_evaluation=rows.append, **options)
    return program, outcome.state, [without_times(row) for row in rows]


def without_times(row):
    return dataclasses.replace(row, train_seconds=0.0, evaluation_seconds=0.0)


@pytest.fixture(scope="module")
def resident(averaging):
    return run(averaging)


def assert_same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_streamed_run_is_that_of_the_data_on_the_device_to_the_last_bit(averaging, resident):
    program, state, rows = run(streamed(averaging))
    assert not isinstance(program.dataset.train, Images)
    assert_same_bits(state, resident[1])
    assert rows == resident[2]
    assert {row.num_averaged for row in rows} > {0}
    assert evaluate_ensemble(program, [state.variables]) == evaluate_ensemble(
        resident[0], [state.variables]
    )


@pytest.mark.slow
def test_pmap_streams_to_four_devices(averaging, resident):
    """The other driver does so in `test_processes.py`."""
    _, state, rows = run(streamed(averaging, driver="pmap", num_devices=4))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=3e-5), state.params, resident[1].params
    )
    for row, expected in zip(rows, resident[2], strict=True):
        assert row.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
        assert row.test_loss == pytest.approx(expected.test_loss, rel=1e-3)
    assert rows[-1].averaged_test_loss == pytest.approx(resident[2][-1].averaged_test_loss, 1e-3)


@pytest.fixture(scope="module")
def plain(experiment):
    """Streams at one batch size, at a rate that some seeds survive for a while."""
    phases = (js.Phase(epochs=2, batch_size=16),)
    return streamed(experiment, phases=phases, optimizer=js.SGD(lr=0.05))


def test_seeds_in_turn_do_not_mix_their_streams(plain):
    program = Program(plain, plain.data.load())
    states = {seed: (program.init(seed), program.zero_sums()) for seed in (0, 1)}
    for step in range(4):
        for seed in (0, 1):
            states[seed] = program.update(*states[seed], seed=seed, step=step, count=1)
    for seed in (0, 1):
        alone = program.update(program.init(seed), program.zero_sums(), seed=seed, step=0, count=4)
        assert_same_bits(states[seed], alone)


def test_a_streamed_run_that_diverges_ends_with_the_update_that_did(plain):
    """All updates of a dispatch are on their way when its first loss is not finite."""
    wild = dataclasses.replace(plain, optimizer=js.SGD(lr=1e30))
    outcome = train(Program(wild, wild.data.load()), 0, on_evaluation=lambda row: None)
    assert outcome.status == "diverged"
    assert outcome.reason.startswith("diverged at update 1:")


def test_reading_ends_with_the_program(plain):
    gc.collect()
    before = threading.active_count()
    program = Program(plain, plain.data.load())
    program.update(program.init(0), program.zero_sums(), seed=0, step=0, count=1)
    assert threading.active_count() > before
    del program
    gc.collect()
    assert threading.active_count() <= before
