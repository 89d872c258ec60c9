"""One small experiment, progress that shows nothing, and the words of a picture."""

import html
import io
import re

import matplotlib
import pytest
from rich.console import Console

import jaxsched as js
from jaxsched.data import Augment, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import Progress


@pytest.fixture(scope="session")
def experiment():
    lr = js.OneCycle(0.2, duration="100%")
    return Experiment(
        name="small",
        task=ImageClassification(
            model=ResNet(stages=(1,), width=2),
            data=Synthetic(num_train=100, num_test=50, num_classes=4),
            augment=Augment(pad=1, flip=True),
        ),
        phases=(js.Phase(epochs=2, batch_size=16),),
        optimizer=js.SGD(lr, momentum=lr.momentum(0.95, 0.85), weight_decay=1e-3),
        num_devices=1,
    )


@pytest.fixture(scope="session")
def dataset(experiment):
    return experiment.task.data.load()


@pytest.fixture
def progress():
    with Progress(Console(file=io.StringIO())) as bar:
        yield bar


@pytest.fixture
def words_of():
    """Returns the text in an SVG file that was drawn within the test."""

    def read(path):
        words = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
        return " ".join(html.unescape(" ".join(words)).split())

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        yield read
