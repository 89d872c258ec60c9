"""Loaded runs: against their records, a NumPy forward pass, and from a process without the data."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxsched.cli import main
from jaxsched.experiment import Experiment, load_value, with_value
from jaxsched.tracking import read_record
from jaxsched.train import load_run

pytestmark = pytest.mark.slow

# Trained on four devices, with an average, an evaluation in each epoch and a state kept before
# ABEL's last decay, which comes between two evaluations.
CONFIG = """
import jaxsched as js
from jaxsched.data import Digits
from jaxsched.models import ResNet
from jaxsched.experiment import Experiment
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="digits",
    task=ImageClassification(model=ResNet(stages=(1,), width=4), data=Digits()),
    phases=(js.Phase(4, 48),),
    optimizer=js.SGD(
        js.Cosine(0.3, duration=5),
        momentum=0.9,
        abel=js.Abel(0.5, last_decay="100 updates"),
        averaging=js.Averaging(start=2, every="10 updates", statistics_examples=200),
    ),
    num_devices=4,
    seed=3,
)
"""


def train(folder, config, *options):
    """Runs the command on a config; returns the path of the record."""
    name = f"config{len(list(folder.glob('config*.py')))}.py"
    (folder / name).write_text(config)
    main(["train", str(folder / name), "--workdir", str(folder), *options])
    return max(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return train(tmp_path_factory.mktemp("load"), CONFIG)


@pytest.fixture(scope="module")
def test_set(record):
    experiment = load_value(record.parent / "config0.py", "experiment", Experiment)
    return experiment.task.data.load().test


def accuracy(probabilities, labels):
    return float((probabilities.argmax(-1) == labels).mean())


def loss(probabilities, labels):
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("averaged", [False, True])
def test_what_is_loaded_has_the_recorded_metrics(record, test_set, averaged):
    run, row = load_run(record), read_record(record).evaluations[-1]
    assert run.is_finished and run.step == row["step"] == 125
    assert {name: row[name] for name in run.metrics} == run.metrics
    probabilities = run.predict(test_set.images, averaged=averaged)
    kind = "averaged_test" if averaged else "test"
    assert accuracy(probabilities, test_set.labels) == row[f"{kind}_accuracy"]
    assert loss(probabilities, test_set.labels) == pytest.approx(row[f"{kind}_loss"], rel=1e-5)
    # One batch that is smaller than the others, and labels that are given.
    some = run.predict(test_set.images[:7], test_set.labels[:7], averaged=averaged)
    np.testing.assert_allclose(some, probabilities[:7], rtol=1e-5)


def convolve(images, kernel):
    """A 3×3 convolution with one pixel of zeros around: each shift of the image times a matrix."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        padded[:, y : y + height, x : x + width] @ kernel[y, x] for y in range(3) for x in range(3)
    )


def normalised(x, scale, stats):
    return (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * scale["scale"] + scale["bias"]


def forward(variables, images, mean, std):
    """The network in NumPy, from the plain dicts alone."""
    params, stats = variables["params"], variables["batch_stats"]
    x = (images / 255 - mean) / std
    x = convolve(x, params["stem_conv"]["kernel"])
    x = np.maximum(normalised(x, params["stem_norm"], stats["stem_norm"]), 0)
    block, moments = params["stage1_block1"], stats["stage1_block1"]
    y = normalised(convolve(x, block["conv1"]["kernel"]), block["norm1"], moments["norm1"])
    y = convolve(np.maximum(y, 0), block["conv2"]["kernel"])
    x = np.maximum(x + normalised(y, block["norm2"], moments["norm2"]), 0)
    logits = x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_a_numpy_network_with_the_loaded_arrays_predicts_the_same(record, test_set):
    run = load_run(record)
    for variables, averaged in (run.variables, False), (run.averaged_variables, True):
        ours = forward(variables, test_set.images, run.dataset.mean, run.dataset.std)
        theirs = run.predict(test_set.images, averaged=averaged)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_checkpoints_have_names(record):
    newest, best = load_run(record), load_run(record, "best")
    assert load_run(record.with_suffix("")).path == newest.path
    assert load_run(newest.path).step == newest.step == 125
    accuracies = {row.step: row.metrics["test_accuracy"] for row in newest.rows}
    assert best.step == max(accuracies, key=accuracies.__getitem__)
    decay = load_run(record, "before_last_decay")
    assert (decay.step, decay.is_finished, decay.metrics) == (100, False, None)
    assert decay.experiment.seed == 3 and [row.step for row in decay.rows] == [32, 63, 94]
    with pytest.raises(
        FileNotFoundError, match=r"expected the checkpoint '7', got .*125, before_la"
    ):
        load_run(record, 7)
    with pytest.raises(FileNotFoundError, match="expected the run of the checkpoint 'best'"):
        load_run(newest.path, "best")


def test_between_evaluations_statistics_of_the_average_are_re_estimated(record, test_set):
    """They are those of the same examples that one evaluation at this step would take."""
    decay, newest = load_run(record, "before_last_decay"), load_run(record)
    found = decay.averaged_variables["batch_stats"]["stem_norm"]["mean"]
    assert not np.array_equal(found, decay.variables["batch_stats"]["stem_norm"]["mean"])
    assert accuracy(decay.predict(test_set.images, averaged=True), test_set.labels) > 0.5
    # Where the statistics were saved, re-estimating gives them again, up to rounding.
    saved = newest.averaged_variables
    again = dataclasses.replace(newest, _saved_stats=None).averaged_variables
    for kind in ("mean", "var"):
        a, b = (found["batch_stats"]["stem_norm"][kind] for found in (saved, again))
        np.testing.assert_allclose(a, b, rtol=1e-5)


ELSEWHERE = """
import sys, jax, numpy as np
from jaxsched.data import Digits
from jaxsched.train import load_run

def load(self):
    raise AssertionError("the data are not needed")

Digits.load = load
run = load_run(sys.argv[1])
images = np.load(sys.argv[2])
assert jax.device_count() == 1
print(run.experiment.name, run.experiment.optimizer.averaging, run.dataset.num_classes)
print(run.predict(images).argmax(-1).tolist())
print(run.predict(images, averaged=True).argmax(-1).tolist())
"""


def test_another_process_with_one_device_and_no_data_predicts_the_same(record, test_set, tmp_path):
    np.save(tmp_path / "images.npy", test_set.images[:50])
    command = [sys.executable, "-c", ELSEWHERE, str(record), str(tmp_path / "images.npy")]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    first, *predicted = result.stdout.splitlines()
    assert first.startswith("digits Averaging(start=2,") and first.endswith(" 10")
    run = load_run(record)
    for averaged, line in zip((False, True), predicted, strict=True):
        ours = run.predict(test_set.images[:50], averaged=averaged).argmax(-1)
        assert json.loads(line) == ours.tolist()


def test_an_unfinished_run_is_loaded_while_it_is_not_the_newest(record, tmp_path):
    """A run that was cut off has checkpoints and a record without an end."""
    folder = tmp_path / record.stem
    shutil.copytree(record.with_suffix("") / "before_last_decay", folder / "100")
    (tmp_path / record.name).write_text("".join(record.read_text().splitlines(keepends=True)[:3]))
    run = load_run(tmp_path / record.name)
    assert run.step == 100 and not run.is_finished
    assert read_record(tmp_path / record.name).status is None


def test_wrong_examples_are_refused_by_dtype_and_shape(record, test_set):
    run, images = load_run(record), test_set.images
    wanted = r"uint8\[N, 8, 8, 1\] and int32\[N\], got "
    for wrong, said in [
        ((images / 255,), rf"float64\[{len(images)}, 8, 8, 1\]"),
        ((images[0],), r"uint8\[8, 8, 1\]"),
        ((images[:, :4],), rf"uint8\[{len(images)}, 4, 8, 1\]"),
        ((images[:2], test_set.labels[:3]), r"uint8\[2, 8, 8, 1\] and int32\[3\]"),
        ((images[:0],), r"uint8\[0, 8, 8, 1\]"),
        ((), "none"),
    ]:
        with pytest.raises(ValueError, match=f"{wanted}{said}"):
            run.predict(*wrong)


def test_another_experiment_is_refused_with_the_difference(record):
    experiment = load_value(record.parent / "config0.py", "experiment", Experiment)
    assert load_run(record, experiment=dataclasses.replace(experiment, seed=0)).experiment.seed == 3
    other = with_value(experiment, "model.width", 8)
    with pytest.raises(ValueError, match=r"made by another experiment: model\.width: 4 -> 8"):
        load_run(record, experiment=other)


def test_damage_and_absence_are_named(record, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=f"{run}: expected the path of a run's record"):
        load_run(run)
    shutil.copy(record, tmp_path / "run.jsonl")
    with pytest.raises(FileNotFoundError, match="a study removes those of runs that have ended"):
        load_run(tmp_path / "run.jsonl")
    shutil.copytree(record.with_suffix("") / "125", run / "125")
    data = max((run / "125/arrays").rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    data.write_bytes(data.read_bytes()[:-10])
    with pytest.raises(ValueError, match=f"{run}/125 is damaged .*; use another checkpoint"):
        load_run(run)
    with pytest.raises(ValueError, match="holds no average of weights"):
        _ = dataclasses.replace(load_run(record), state=_without_average(record)).averaged_variables


def _without_average(record):
    state = load_run(record).state
    rest = {name: part for name, part in state.opt_state.items() if name != "averaging"}
    return dataclasses.replace(state, opt_state=rest)
