"""Experiments that can share a program, and the numbers that tell them apart."""

import dataclasses

import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.train.program.shared_program import SharedProgramSpec


def with_optimizer(experiment, **changes):
    optimizer = dataclasses.replace(experiment.optimizer, **changes)
    return dataclasses.replace(experiment, optimizer=optimizer)


@pytest.fixture(scope="module")
def one_phase(experiment):
    return dataclasses.replace(experiment, phases=(js.Phase(epochs=2, batch_size=16),))


def test_experiments_with_any_optax_optimizer_can_share_a_program(one_phase):
    def lion(rate, b1):
        arguments = {"learning_rate": js.Cosine(rate, 2), "b1": js.Constant(b1)}
        return dataclasses.replace(one_phase, optimizer=js.FromOptax(optax.lion, arguments))

    pair, plan = [lion(1e-3, 0.9), lion(1e-4, 0.8)], one_phase.plan(100)
    spec = SharedProgramSpec(pair, plan)
    np.testing.assert_allclose(np.sort(spec.numbers, axis=1), [[1e-3, 0.9], [1e-4, 0.8]])
    assert spec.optimizer([0.5, 0.25]).arguments.keys() == {"learning_rate", "b1"}


def test_numbers_in_an_array_must_be_the_same_in_all(one_phase):
    def through(values, decay):
        schedule = js.Interpolate(np.stack([np.arange(3.0), values], axis=1))
        return with_optimizer(one_phase, lr=schedule, weight_decay=decay)

    plan = one_phase.plan(100)
    pair = [through((0.1, 0.2, 0.0), decay) for decay in (0.0, 1e-3)]
    spec = SharedProgramSpec(pair, plan)
    np.testing.assert_allclose(spec.numbers, [[0.0], [1e-3]])
    lr = spec.optimizer(spec.numbers[1]).lr
    np.testing.assert_allclose(lr(np.array([0.0, 0.5, 2.0])), [0.1, 0.15, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(spec.numbers_of(pair[1]), spec.numbers[1])
    with pytest.raises(ValueError, match="differ in more"):
        SharedProgramSpec([pair[0], through((0.1, 0.3, 0.0), 0.0)], plan)


def test_experiments_that_differ_in_more_than_numbers_are_refused(one_phase):
    linear = with_optimizer(one_phase, lr=js.Linear(0.1, 0.0, 3))
    plan = one_phase.plan(100)
    for other in (linear, one_phase.with_task(label_smoothing=0.1)):
        with pytest.raises(ValueError, match="differ in more; make a program for each kind"):
            SharedProgramSpec([one_phase, other], plan)
    spec = SharedProgramSpec([one_phase, with_optimizer(one_phase, momentum=0.0)], plan)
    with pytest.raises(ValueError, match="with other numbers; make the program with it"):
        spec.numbers_of(with_optimizer(one_phase, weight_decay=0.5))
