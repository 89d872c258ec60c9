"""One small experiment that crosses epochs and changes its batch size, and its compiled program."""

import pytest

import jaxsched as js
from jaxsched.data import Augment, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.train import Program

PHASES = (js.Phase(epochs=1.5, batch_size=16), js.Phase(epochs=1.5, batch_size=24))


@pytest.fixture(scope="session")
def experiment():
    return Experiment(
        name="small",
        model=CifarResNet(depth=8, width=2),
        # 100 is no multiple of 16 or 24, so that batches straddle the epochs.
        data=Synthetic(num_train=100, num_test=50, num_classes=4),
        phases=PHASES,
        optimizer=js.SGD(js.Cosine(0.1, duration=3), momentum=0.9, weight_decay=1e-3),
        augment=Augment(pad=1, flip=True),
        num_devices=1,
    )


@pytest.fixture(scope="session")
def program(experiment):
    return Program(experiment, experiment.data.load())
