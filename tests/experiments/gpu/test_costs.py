"""Costs, against the operations of another framework's layers and by hand."""

import sys
from pathlib import Path

import pytest

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "performance" / "throughput"))

from throughput_jax import train_flop  # noqa: E402
from throughput_worker import Job  # noqa: E402


@pytest.fixture(scope="module")
def costs(load_experiment):
    return load_experiment("gpu/costs")


def test_operations_are_those_of_plain_layers_but_for_padding(costs):
    """Products with padding are counted there, sums of norms and activations here."""
    ours = 3 * costs.forward_flop(CifarResNet(depth=20, width=16))
    assert ours == pytest.approx(train_flop(Job("flax", "resnet20", 1, "float32")), rel=0.1)


@pytest.mark.parametrize("batch_size", [50, 5000])
def test_seconds_are_of_products_or_of_kernels_whichever_take_longer(costs, batch_size):
    network = CifarResNet(depth=8, width=64)
    run = Experiment(
        name="run",
        task=ImageClassification(model=network, data=Cifar10(folder="data")),
        phases=(js.Phase(4, batch_size),),
        optimizer=js.SGD(0.1),
        evaluate_every=2.0,
        precision="bfloat16",
    )
    forward, rate = costs.forward_flop(network), 989.4e12 / 4
    training = 3 * forward * 200_000 / rate
    kernels = 200_000 / batch_size * 1.2e-3
    assert (kernels > training) == (batch_size == 50)
    images, flop, seconds = costs.cost(run)
    assert (images, flop) == (200_000, pytest.approx(forward * (600_000 + 2 * 10_000)))
    assert seconds == pytest.approx(max(training, kernels) + 2 * 10_000 * forward / rate)
