"""Study files: sizes, targets by rule, and the manifest beside the records."""

import dataclasses
import json

import pytest

from jaxsched.bench import MedianBest, Published, Study, StudyManifest, load_study, resolve_target
from jaxsched.bench.study.manifest import TEST_ACCURACY
from jaxsched.data import Digits
from jaxsched.experiment import Experiment
from jaxsched.metric import Metric
from jaxsched.models import CifarResNet
from jaxsched.optim.optimizers import SGD
from jaxsched.plan import Phase
from jaxsched.tasks import LOSS, ImageClassification
from jaxsched.tracking import Record


def study(**changes):
    experiments = tuple(
        Experiment(
            name=name,
            task=ImageClassification(model=CifarResNet(depth=8, width=4), data=Digits()),
            phases=(Phase(1, 32),),
            optimizer=SGD(0.1),
        )
        for name in ("one", "two")
    )
    given = {"name": "both", "experiments": experiments, "seeds": (0, 3), "target": 0.9}
    return Study(**{**given, **changes})


def test_manifest_is_read_back_as_written(tmp_path):
    manifest = study(
        target=MedianBest("two"),
        further_targets=(0.5, 0.6),
        published={"one": Published(0.93, "a paper")},
        evaluate="better",
    ).manifest()
    manifest.write(tmp_path / "new" / "study.json")
    assert StudyManifest.read(tmp_path / "new" / "study.json") == manifest
    assert manifest.baseline == "one"
    assert manifest.names == ("one", "two")
    assert [(run.name, run.seed) for run in manifest.runs] == [
        ("one", 0), ("one", 3), ("two", 0), ("two", 3)
    ]  # fmt: skip


def test_metric_is_the_tasks_main_one_or_any_other(tmp_path):
    assert study().manifest().metric == TEST_ACCURACY
    by_loss = study(metric="test_loss", target=2.1, further_targets=(-3.0,)).manifest()
    assert by_loss.metric == Metric("test_loss", "lower")
    by_loss.write(tmp_path / "study.json")
    assert StudyManifest.read(tmp_path / "study.json") == by_loss
    on_train = study(metric="train_accuracy").manifest()
    assert on_train.metric == Metric("train_accuracy", "higher", is_share=True)


def test_older_manifests_are_read(tmp_path):
    manifest = study(published={"one": Published(0.93, "a paper")}).manifest()
    manifest.write(tmp_path / "study.json")
    content = json.loads((tmp_path / "study.json").read_text())
    del content["metric"], content["is_from_records"], content["evaluate"]
    content["published"]["one"]["accuracy"] = content["published"]["one"].pop("value")
    (tmp_path / "study.json").write_text(json.dumps(content))
    assert StudyManifest.read(tmp_path / "study.json") == manifest


@dataclasses.dataclass(frozen=True)
class Another(ImageClassification):
    """A task that measures something else."""

    @property
    def metrics(self):
        return (LOSS, Metric("error", "lower", is_share=True))


def test_experiments_that_measure_other_things_are_refused_by_name():
    one, two = study().experiments
    task = Another(model=two.task.model, data=two.task.data)
    other = dataclasses.replace(two, task=task)
    with pytest.raises(ValueError, match=r"two with Another: loss \(lower is better\), error \(lo"):
        study(experiments=(one, other))
    assert study(experiments=(other,)).manifest().metric.name == "test_error"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x", "runs": 3}'])
def test_damaged_manifest_names_the_file_and_the_fix(tmp_path, text):
    path = tmp_path / "study.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"study\.json does not hold .* move it away"):
        StudyManifest.read(path)
    assert path.read_text() == text


def test_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="jaxsched bench"):
        StudyManifest.read(tmp_path / "study.json")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"baseline": "three"}, "baseline among its experiments .*'three'"),
        ({"target": MedianBest("three")}, "target among its experiments"),
        ({"published": {"three": Published(0.9)}}, "published among its experiments"),
        ({"further_targets": (0.5, 1.2)}, r"within \(0, 1\], got 1.2"),
        ({"metric": "test_loss", "target": float("inf")}, "target loss, a finite number, got inf"),
        ({"metric": "loss"}, r"one of \['test_loss', 'test_accuracy', 'train_loss', .*'loss'"),
    ],
)
def test_study_that_names_an_unknown_experiment_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        study(**changes)


def record(name, accuracies, end="finished"):
    rows = tuple({"test_accuracy": accuracy} for accuracy in accuracies)
    return Record({"name": name, "seed": 0}, rows, end and {"status": end})


def test_rule_takes_the_median_of_the_best_evaluations_not_of_the_last():
    records = [
        record("steps", [0.5, 0.9, 0.7]),
        record("steps", [0.6, 0.8]),
        record("steps", [0.99], end=None),  # not finished
        record("other", [1.0]),
    ]
    target = resolve_target(MedianBest("steps"), TEST_ACCURACY, records)
    assert target.value == pytest.approx(0.85)  # of 0.9 and 0.8
    assert target.origin == "median over 2 runs of the best evaluation of steps"


def test_rule_without_a_run_of_the_baseline_raises():
    with pytest.raises(ValueError, match="steps, which has no finished run yet"):
        resolve_target(MedianBest("steps"), TEST_ACCURACY, [record("other", [1.0])])


FILE = """
from jaxsched.bench import Study
from jaxsched.data import Digits
from jaxsched.metric import Metric
from jaxsched.models import CifarResNet
from jaxsched.tasks import LOSS, ImageClassification
from jaxsched.optim.optimizers import SGD
from jaxsched.plan import Phase
from jaxsched.experiment import Experiment
run = Experiment(
    name="run", task=ImageClassification(CifarResNet(depth=8, width=4), Digits()),
    phases=(Phase(1, 32),), optimizer=SGD(0.1),
)
def of(name):
    return Study(name=name, experiments=(run,), seeds=(0,), target=0.9)
"""


def test_size_selects_a_study(tmp_path):
    path = tmp_path / "study.py"
    path.write_text(FILE + "sizes = {'small': of('s'), 'large': of('l')}\n")
    assert load_study(path).name == "s"
    assert load_study(path, "large").name == "l"
    with pytest.raises(ValueError, match=r"has the sizes \['small', 'large'\], got --size huge"):
        load_study(path, "huge")


def test_file_with_one_size_has_no_other(tmp_path):
    path = tmp_path / "study.py"
    path.write_text(FILE + "study = of('s')\n")
    assert load_study(path).name == "s"
    with pytest.raises(ValueError, match="has only one size, got --size full"):
        load_study(path, "full")


@pytest.mark.parametrize("end", ["", "study = 3\n"])
def test_file_without_a_study_is_refused(tmp_path, end):
    path = tmp_path / "study.py"
    path.write_text(FILE + end)
    with pytest.raises(ValueError, match="must hold a Study under the name 'study'"):
        load_study(path)


def test_manifest_is_readable_json(tmp_path):
    study().manifest().write(tmp_path / "study.json")
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["target"] == 0.9
    assert content["runs"][0].keys() == {"name", "digest", "seed"}
