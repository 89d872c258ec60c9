"""Programs compiled from shapes for this machine's CPU, against the real ones and closed forms."""

import dataclasses

import flax.linen as nn
import numpy as np
import pytest

import jaxsched as js
from jaxsched.ahead_of_time.fit import remedy
from jaxsched.ahead_of_time.programs import DescribedPrograms
from jaxsched.ahead_of_time.topology import describe_machine
from jaxsched.data import Arrays, Cifar10, Streamed, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, ResNet
from jaxsched.tasks import ImageClassification, MeanSquaredError, Supervised
from jaxsched.train import Program

CPU = describe_machine("cpu")
SMALL = ResNet(stages=(1,), width=2)


def experiment(task, *, batch_size=32, **options):
    return Experiment(
        name="small",
        task=task,
        phases=(js.Phase(epochs=2, batch_size=batch_size),),
        optimizer=js.SGD(js.Cosine(0.1, duration=2), momentum=0.9),
        num_devices=1,
        **options,
    )


def linear(batch_size, **options):
    x = np.ones((256, 48), np.float32)
    data = Arrays((x, x[:, :16]), validation=0.25)
    task = Supervised(model=nn.Dense(16), data=data, loss=MeanSquaredError())
    return experiment(task, batch_size=batch_size, **options)


@pytest.mark.parametrize("driver", ["jit", "pmap"])
def test_the_flops_of_a_linear_network_are_those_of_its_two_products(driver):
    spec = linear(64, driver=driver)
    programs = DescribedPrograms(spec, spec.task.data.load(), CPU)
    # Forwards, and the gradient of the weights; the inputs need none.
    assert programs.updates(64).facts.flops == 2 * (2 * 64 * 48 * 16)
    # All 64 examples that are held out, at once.
    assert programs.evaluation().facts.flops == 2 * 64 * 48 * 16


def test_statistics_of_an_average_cost_a_forward_pass():
    """All 510 examples are pooled in one batch, and all 512 evaluated in one."""
    spec = experiment(ImageClassification(model=SMALL, data=Synthetic(num_train=510, num_test=512)))
    assert not DescribedPrograms(spec, spec.task.data.load(), CPU).recomputes_batch_stats
    averaging = dataclasses.replace(spec.optimizer, averaging=js.Averaging(start="50%"))
    spec = dataclasses.replace(spec, optimizer=averaging)
    programs = DescribedPrograms(spec, spec.task.data.load(), CPU)
    assert programs.recomputes_batch_stats
    pooling, evaluation = programs.batch_stats().facts, programs.evaluation().facts
    # A last layer, whose output no statistics need, is not computed: 2 · width · classes.
    last = 2 * SMALL.width * 10
    assert pooling.flops / 510 == pytest.approx(evaluation.flops / 512 - last, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_it_is_the_program_that_a_run_compiles(streamed):
    data = Synthetic(num_train=64, num_test=32)
    data = Streamed(data) if streamed else data
    spec = experiment(ImageClassification(model=SMALL, data=data))
    found = DescribedPrograms(spec, data.load(), CPU).updates(32).memory
    program = Program(spec, data.load())
    assert found.total - found.code == program.update_memory(32)


@pytest.mark.slow
def test_it_needs_no_data():
    network = dataclasses.replace(SMALL, norm=BatchNorm(ghost=16))
    spec = experiment(ImageClassification(model=network, data=Cifar10("nowhere")))
    dataset = spec.task.data.described()
    programs = DescribedPrograms(spec, dataset, CPU)
    resident = programs.updates(32).memory
    assert resident.arguments > 50_000 * 32 * 32 * 3
    # Only sums, and pointers to all results, take new memory.
    assert resident.aliased > 1000 > resident.outputs - resident.aliased
    streamed = DescribedPrograms(spec, dataset.without_examples(), CPU).updates(32).memory
    assert streamed.arguments < 2e6
    smallest = dataclasses.replace(programs.experiment, max_device_batch=16)
    few = DescribedPrograms(smallest, dataset, CPU).updates(32).memory
    # Memory for two groups at a time, but hardly for one: it must be found that one fits.
    assert few.total < resident.total
    programs.memory = int((few.total + 1000) / 0.9)
    found = remedy(programs, 32, say=lambda text: None)
    assert (found.setting, found.value) == ("max_device_batch", 16)


@pytest.mark.slow
def test_the_largest_batch_that_fits_is_found():
    task = ImageClassification(model=SMALL, data=Cifar10("nowhere"))
    spec = experiment(task, batch_size=128)
    programs = DescribedPrograms(spec, Streamed(Cifar10("nowhere")).described(), CPU)
    programs.memory = int((programs.updates(48).memory.total + 1000) / 0.9)
    said = []
    found = remedy(programs, 128, say=said.append)
    assert (found.setting, found.value) == ("batch_size", 48)
    assert len(said) <= 7


def test_more_chips_than_a_host_has_are_refused():
    spec = dataclasses.replace(linear(64), num_devices=5)
    host = [type("Chip", (), {"process_index": 0})() for _ in range(4)]
    machine = dataclasses.replace(CPU, name="v5e:2x2", devices=tuple(host))
    with pytest.raises(ValueError, match=r"within 1 … 4, the chips of a host of v5e:2x2"):
        DescribedPrograms(spec, spec.task.data.load(), machine)
