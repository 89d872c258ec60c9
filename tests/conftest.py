"""Settings for every test (four virtual devices, no silent broadcasting), and a small experiment.

The experiment crosses epochs and changes its batch size; `program` is it, compiled.
"""

import datetime
import os
import tempfile
from pathlib import Path

import hypothesis
import jax
import pytest

import jaxsched as js
from jaxsched.data import Augment, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.train import Program

# An example that takes long says only that the machine is busy.
hypothesis.settings.register_profile("patient", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("patient")

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

# What one test compiles another need not: of this run's processes only, so that nothing is hidden.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(prefix="jaxsched-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# These folders compile whole programs that then run for milliseconds: XLA's optimizations would
# take most of the suite's time. Tests marked `slow` compile as users do.
COMPILING = {
    "bench", "cli", "experiment", "experiments", "fitting", "tasks", "tracking", "train", "tune",
}  # fmt: skip


def pytest_runtest_setup(item):
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    is_quick = folder in COMPILING and item.get_closest_marker("slow") is None
    jax.config.update("jax_disable_most_optimizations", is_quick)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(is_quick)  # for the processes it starts


PHASES = (js.Phase(epochs=1.5, batch_size=16), js.Phase(epochs=1.5, batch_size=24))


@pytest.fixture(scope="session")
def experiment():
    return Experiment(
        name="small",
        task=ImageClassification(
            model=ResNet(stages=(1,), width=2),
            data=Synthetic(num_train=100, num_test=50, num_classes=4),
            augment=Augment(pad=1, flip=True),
        ),
        # 100 is no multiple of 16 or 24, so that batches straddle the epochs.
        phases=PHASES,
        optimizer=js.SGD(js.Cosine(0.1, duration=3), momentum=0.9, weight_decay=1e-3),
        num_devices=1,
    )


@pytest.fixture(scope="session")
def program(experiment):
    return Program(experiment, experiment.task.data.load())


class RecordLines:
    """Makes the content of a record's lines, with every field that a record has to have."""

    def header(self, name="a", seed=3, **changes):
        header = {
            "name": name, "seed": seed, "digest": "0" * 8, "config": {"optimizer": {"type": "SGD"}},
            "source": "", "evaluated_on": "test", "environment": {}, "command": "jaxsched train",
            "started": datetime.datetime.now(datetime.UTC).isoformat(),
        }  # fmt: skip
        return {**header, **changes}

    def row(self, step, **changes):
        row = {
            "step": step, "examples": 32 * step, "epoch": step / 10, "train_seconds": step / 20,
            "evaluation_seconds": 0.1, "batch_size": 32, "learning_rate": 0.1, "momentum": 0.9,
            "weight_decay": 0.0, "train_loss": 1.0, "train_accuracy": 0.5, "test_loss": 1.0,
            "test_accuracy": 0.5,
        }  # fmt: skip
        return {**row, **changes}


@pytest.fixture(scope="session")
def lines():
    return RecordLines()
