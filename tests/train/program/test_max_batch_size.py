"""The largest batch size that fits, compared with compiling the sizes around it."""

import dataclasses

import pytest

import jaxsched as js
from jaxsched.train import Program, largest_batch_size


@pytest.fixture(scope="module")
def program(experiment):
    phases = (js.Phase(epochs=1, batch_size=8),)
    one_phase = dataclasses.replace(experiment, phases=phases, optimizer=js.SGD(lr=0.1))
    return Program(one_phase, one_phase.task.data.load())


@pytest.mark.slow
def test_a_size_fits_and_the_next_one_does_not(program):
    memory = {size: program.update_memory(size) for size in (48, 56)}
    assert memory[48] < memory[56]
    assert largest_batch_size(program, int(memory[56] / 0.9) - 1) == 48


@pytest.mark.slow
def test_memory_for_no_batch_at_all_is_refused(program):
    with pytest.raises(ValueError, match=r"room for 8 examples at a time, of 100 in the data"):
        largest_batch_size(program, 1000)
