"""Runs of streamed data, compared with runs of the same data on the device."""

import dataclasses
import gc
import multiprocessing
import threading

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Images, Streamed
from jaxsched.train import Program, evaluate_ensemble, train


@pytest.fixture(scope="module")
def averaging(experiment):
    """Batches that straddle epochs, two batch sizes, an average that reads other examples."""
    optimizer = dataclasses.replace(
        experiment.optimizer, averaging=js.Averaging(start=1, statistics_examples=60)
    )
    return dataclasses.replace(experiment, optimizer=optimizer)


def streamed(experiment, **changes):
    return dataclasses.replace(experiment.with_task(data=Streamed(experiment.task.data)), **changes)


def run(experiment, **options):
    rows, program = [], Program(experiment, experiment.task.data.load())
    outcome = train(program, 3, on_evaluation=rows.append, **options)
    return program, outcome.state, [without_times(row) for row in rows]


def without_times(row):
    return dataclasses.replace(row, train_seconds=0.0, evaluation_seconds=0.0)


@pytest.fixture(scope="module")
def on_device(averaging):
    return run(averaging)


def assert_same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.slow
def test_a_streamed_run_equals_the_run_on_the_device_bit_for_bit(averaging, on_device):
    program, state, rows = run(streamed(averaging))
    assert not isinstance(program.dataset.train, Images)
    assert_same_bits(state, on_device[1])
    assert rows == on_device[2]
    assert {row.num_averaged for row in rows} > {0}
    assert evaluate_ensemble(program, [state.variables]) == evaluate_ensemble(
        on_device[0], [state.variables]
    )


@pytest.mark.slow
def test_processes_read_the_same_run_and_start_once(averaging, on_device):
    """Three epochs, their evaluations and the statistics of the average, by the same processes."""
    rows, readers = [], set()
    experiment = streamed(averaging)
    program = Program(experiment, experiment.task.data.load(), read_workers=2)

    def on_evaluation(row):
        rows.append(without_times(row))
        readers.add(frozenset(child.pid for child in multiprocessing.active_children()))

    outcome = train(program, 3, on_evaluation=on_evaluation)
    assert_same_bits(outcome.state, on_device[1])
    assert rows == on_device[2]
    assert len(rows) > 2
    (processes,) = readers
    assert len(processes) == 2


@pytest.mark.slow
def test_pmap_streams_to_four_devices(averaging, on_device):
    """The other driver streams to several devices in `test_processes.py`."""
    _, state, rows = run(streamed(averaging, driver="pmap", num_devices=4))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=3e-5), state.params, on_device[1].params
    )
    for row, expected in zip(rows, on_device[2], strict=True):
        assert row.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
        assert row.test_loss == pytest.approx(expected.test_loss, rel=1e-3)
    assert rows[-1].averaged_test_loss == pytest.approx(on_device[2][-1].averaged_test_loss, 1e-3)


@pytest.fixture(scope="module")
def plain(experiment):
    """Streams at one batch size."""
    phases = (js.Phase(epochs=2, batch_size=16),)
    return streamed(experiment, phases=phases, optimizer=js.SGD(lr=0.05))


@pytest.mark.slow
def test_two_runs_that_alternate_do_not_mix_their_streams(plain):
    program = Program(plain, plain.task.data.load())
    states = {seed: (program.init(seed), program.zero_sums()) for seed in (0, 1)}
    for step in range(4):
        for seed in (0, 1):
            states[seed] = program.update(*states[seed], seed=seed, step=step, count=1)
    for seed in (0, 1):
        alone = program.update(program.init(seed), program.zero_sums(), seed=seed, step=0, count=4)
        assert_same_bits(states[seed], alone)


@pytest.mark.slow
def test_a_streamed_run_ends_at_the_update_that_diverges(plain):
    """Although later updates are dispatched already when its loss turns out not finite."""
    wild = dataclasses.replace(plain, optimizer=js.SGD(lr=1e30))
    outcome = train(Program(wild, wild.task.data.load()), 0, on_evaluation=lambda row: None)
    assert outcome.status == "diverged"
    assert outcome.reason.startswith("diverged at update 1:")


@pytest.mark.slow
def test_reading_ends_with_the_program(plain):
    gc.collect()
    before = threading.active_count()
    program = Program(plain, plain.task.data.load())
    program.update(program.init(0), program.zero_sums(), seed=0, step=0, count=1)
    assert threading.active_count() > before
    del program
    gc.collect()
    assert threading.active_count() <= before
