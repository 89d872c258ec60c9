"""Every config file: it loads, and those of a paper have its updates and keep its noise."""

from pathlib import Path

import numpy as np
import pytest

from jaxsched.data import Cifar10, Digits, ImageFolder, PythonDocs, Subset
from jaxsched.experiment import Experiment, misfits
from jaxsched.experiment.files import load_value
from jaxsched.train.step.micro_batches import num_micro_batches

CONFIGS = Path(__file__).parents[1] / "configs"
# PythonDocs: windows of 64 bytes of Python 3.11's; other versions have up to a seventh more.
NUM_TRAIN = {Digits: 1_493, Cifar10: 50_000, ImageFolder: 1_281_167, PythonDocs: 5_258}

# Updates, and between which numbers the paper's text or figure has them: arXiv 1711.00489, figures
# 5 and 6.
PUBLISHED = {
    "cifar10_wrn16_4_decay": (78_125, 75_000, 85_000),  # "about 80,000"
    "cifar10_wrn16_4_batch": (29_142, 28_500, 29_500),  # "about 29,000"
    "imagenet_resnet50_inception_batch": (5_865, 5_500, 6_000),  # "under 6,000"
}
# Runs that have the noise, and the weight decay an example, of another.
REFERENCES = {
    "cifar10_wrn16_4_batch": "cifar10_wrn16_4_decay",
    "imagenet_resnet50_batch": "imagenet_resnet50",
}


def load(name):
    return load_value(CONFIGS / f"{name}.py", "experiment", Experiment)


def num_train(experiment):
    data = experiment.task.data
    return data.num_train if isinstance(data, Subset) else NUM_TRAIN[type(data)]


def noise(experiment, epochs):
    """g = lr N / (B (1 − momentum)) at these epochs, in float64."""
    ends = np.cumsum([float(phase.epochs) for phase in experiment.phases])
    sizes = np.array([phase.batch_size for phase in experiment.phases])
    size = sizes[np.searchsorted(ends, epochs, side="right")]
    optimizer = experiment.optimizer
    lr, momentum = (np.float64(of_epoch(epochs)) for of_epoch in (optimizer.lr, optimizer.momentum))
    return lr * num_train(experiment) / (size * (1 - momentum))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_it_loads_under_its_own_name_and_its_batches_divide(path):
    experiment = load(path.stem)
    assert experiment.name == path.stem
    group, most = experiment.task.batch_group, experiment.max_device_batch
    plan = experiment.plan(num_train(experiment))
    assert misfits(experiment, plan) == ()
    for size in plan.batch_sizes:
        assert size % (group or 1) == 0
        part = size // num_micro_batches(size, most=most, group=group)
        assert part % (group or 1) == 0
        assert part <= (most or size)


@pytest.mark.parametrize("name", PUBLISHED)
def test_updates_are_those_of_the_paper(name):
    experiment = load(name)
    updates, low, high = PUBLISHED[name]
    found = experiment.plan(num_train(experiment)).total_steps
    assert found == updates
    assert low < found < high


@pytest.mark.parametrize("name", REFERENCES)
def test_noise_and_weight_decay_are_those_of_the_run_that_decays(name):
    experiment, reference = load(name), load(REFERENCES[name])
    epochs = np.arange(float(reference.phases[0].epochs)) + 0.5
    np.testing.assert_allclose(noise(experiment, epochs), noise(reference, epochs), rtol=1e-5)
    assert experiment.optimizer.weight_decay == reference.optimizer.weight_decay
