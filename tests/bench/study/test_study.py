"""A study run on tiny data: skipped, interrupted, resumed, reported."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

import jaxsched as js
from jaxsched.bench import Results, Shard, Study, run_study, study_records, write_report
from jaxsched.cli import main
from jaxsched.data import Augment, Synthetic
from jaxsched.experiment import Experiment, Preview
from jaxsched.models import ResNet
from jaxsched.plotting.previews import draw_schedules
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import Progress, plan_for, read_record, record_path

base = Experiment(
    name="constant",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32, num_classes=4),
        augment=Augment(pad=0, flip=False),
    ),
    phases=(js.Phase(epochs=2, batch_size=16),),
    optimizer=js.SGD(0.05, momentum=0.9),
    num_devices=1,
)
hot = dataclasses.replace(base, name="hot", optimizer=js.SGD(1e30))
study = Study(name="pair", experiments=(base, hot), seeds=(0, 7), target=0.3)


def run(folder, **options):
    with Progress(Console(quiet=True)) as progress:
        run_study(study, folder, source_text="# the file", progress=progress, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    run(folder / "records")
    return folder


def test_the_same_runs_compared_by_loss(finished, tmp_path):
    """The records' header says which metrics there are, and the manifest which one counts."""
    records = study_records(study, finished / "records")
    losses = [[row["test_loss"] for row in record.evaluations] for record in records[:2]]
    target = max(map(min, losses))
    by_loss = dataclasses.replace(study, metric="test_loss", target=target).manifest()
    results = Results.of(by_loss, records)
    constant, hot = results.summaries
    assert (constant.reached, hot.reached, hot.diverged) == (2, 0, 2)
    assert constant.final_mean == pytest.approx(np.mean([run[-1] for run in losses]))
    write_report(results, tmp_path)
    assert "final loss" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "loss.png").exists()


def test_every_experiment_ran_with_every_seed(finished):
    records = study_records(study, finished / "records")
    assert [(r.name, r.header["seed"]) for r in records] == [
        ("constant", 0), ("constant", 7), ("hot", 0), ("hot", 7)
    ]  # fmt: skip
    header, rows = records[1].header, records[1].evaluations
    assert header["source"] == "# the file"
    assert header["config"]["seed"] == 7
    assert header["config"]["optimizer"]["lr"] == {"type": "Constant", "value": 0.05}
    assert header["environment"]["packages"]["jax"]
    assert [row["step"] for row in rows] == [4, 8]
    assert {*rows[0]} >= {
        "examples", "epoch", "train_seconds", "batch_size", "learning_rate", "momentum",
        "weight_decay", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
    }  # fmt: skip
    (rate, memory) = (records[1].end[name] for name in ("images_per_second", "peak_memory"))
    assert rate == rows[-1]["examples"] / rows[-1]["train_seconds"]
    assert 1e7 < memory["process"] < 1e11
    assert {**records[2].end, "peak_memory": None} == {
        "kind": "end",
        "status": "diverged",
        "reason": "diverged at update 1: the training loss is not finite",
        "phases": [{"type": "Phase", "epochs": 2, "batch_size": 16}],
        "average_on_all": None,
        "compilations": records[2].end["compilations"],
        "images_per_second": None,
        "peak_memory": None,
    }
    (compilation,) = records[2].end["compilations"]
    assert compilation["batch_size"] == 16 and 0 < compilation["seconds"] < 600


def test_finished_runs_are_not_repeated_and_cut_off_ones_are(finished):
    folder = finished / "records"
    path = record_path(folder, base, seed=7)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    run(folder)
    after = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {path.name}
    # the same seed is the same run again
    (old, new) = (json.loads(lines[-2]), read_record(path).evaluations[-1])
    assert old["test_loss"] == new["test_loss"]


def test_shards_together_give_the_results_of_the_whole_study(finished, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders, start=1):
        run(folder / "records", shard=Shard(number, 2))
        study.manifest().write(folder / "study.json")
        assert len(list((folder / "records").iterdir())) == 2
    merged = Results.read(folders)
    whole = Results.of(study.manifest(), study_records(study, finished / "records"))
    found, expected = (
        [[row["test_loss"] for row in record.evaluations] for record in results.records]
        for results in (merged, whole)
    )
    assert found == expected


def test_report(finished):
    results = Results.of(study.manifest(), study_records(study, finished / "records"))
    write_report(results, finished)
    summary = json.loads((finished / "summary.json").read_text())
    assert (summary["study"], summary["target"]) == ("pair", 0.3)
    constant, hot_row = summary["rows"]
    assert constant["name"] == "constant" and constant["seeds"] == 2
    assert (hot_row["diverged"], hot_row["reached"], hot_row["steps"]) == (2, 0, None)
    markdown = (finished / "summary.md").read_text()
    assert "| hot | 0/2, 2 diverged | none (n=0) |" in markdown
    assert "Equal in all rows: steps missed. Against constant: no difference shown." in markdown
    assert "missed by both" in markdown and " p " not in markdown.splitlines()[-3]
    assert results.answer.startswith("No run reached 30.0% test accuracy. constant (the baseline)")
    previews = {e.name: Preview.of(e, plan_for(e)) for e in study.experiments}
    draw_schedules(previews, finished / "schedules.png")
    for name in ("accuracy.png", "schedules.png"):
        image = imread(finished / name)
        assert min(image.shape[:2]) > 300
        assert np.ptp(image) > 0.9  # not blank


def test_a_study_run_twice_gives_the_same_table_and_csv(finished, tmp_path):
    """Apart from times, and whatever the order in which the records are read."""
    run(tmp_path / "again" / "records")
    records = study_records(study, tmp_path / "again" / "records")
    write_report(Results.of(study.manifest(), records[::-1]), tmp_path / "again")
    write_report(
        Results.of(study.manifest(), study_records(study, finished / "records")), tmp_path / "once"
    )
    for read in (summary_but_seconds, table):
        assert read(tmp_path / "once") == read(tmp_path / "again")
    may_differ = {
        "train_seconds_to_target", "train_seconds", "evaluation_seconds", "compile_seconds",
        "images_per_second", "process_peak_bytes", "device_peak_bytes", "commit", "started",
    }  # fmt: skip
    for name in ("runs.csv", "evaluations.csv"):
        once, again = (rows_without(tmp_path / of / name, may_differ) for of in ("once", "again"))
        assert once == again and len(once) == 4


def summary_but_seconds(folder):
    content = json.loads((folder / "summary.json").read_text())
    for row in content["rows"]:
        assert {"seconds", "seconds_interval"} <= set(row)
        del row["seconds"], row["seconds_interval"]
    return content


def table(folder):
    """Which has no seconds to the target, because no run reached it."""
    return (folder / "summary.md").read_text()


def rows_without(path, columns):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: row[key] for key in row if key not in columns} for row in rows]


@pytest.mark.slow
def test_an_interrupted_study_is_saved_and_reports_its_finished_runs(tmp_path):
    """Uses a real process and a real Ctrl-C."""
    file = tmp_path / "long.py"
    file.write_text(
        "import dataclasses, jaxsched as js\n"
        "from jaxsched.bench import Study\n"
        "from jaxsched.data import Synthetic\n"
        "from jaxsched.models import ResNet\n"
        "from jaxsched.experiment import Experiment\n"
        "from jaxsched.tasks import ImageClassification\n"
        "short = Experiment(name='short', phases=(js.Phase(1, 16),), task=ImageClassification(\n"
        "    ResNet(stages=(1,), width=2), Synthetic(num_train=64, num_test=32)),\n"
        "    optimizer=js.SGD(0.05))\n"
        "endless = dataclasses.replace(short, name='endless', phases=(js.Phase(100_000, 16),))\n"
        "study = Study(name='long', experiments=(short, endless), seeds=(0,), target=0.5)\n"
    )
    # A test run in the background starts its processes with Ctrl-C ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from jaxsched.cli import main; main(['bench', {str(file)!r}, '--workdir', "
        f"{str(tmp_path)!r}])"
    )
    command = [sys.executable, "-c", program]
    records = tmp_path / "long" / "records"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 240
            while not any(p.name.startswith("endless") for p in records.glob("*.jsonl")):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
            os.kill(process.pid, signal.SIGINT)
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130, output
    assert "stopped by SIGINT and saved at update" in output
    assert "Traceback" not in output
    (short,) = records.glob("short*.jsonl")
    (endless,) = records.glob("endless*.jsonl")
    assert read_record(short).is_complete and not read_record(endless).is_complete
    summary = json.loads((tmp_path / "long" / "summary.json").read_text())
    assert [row["name"] for row in summary["rows"]] == ["short"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiments": ()}, "at least one experiment, got none"),
        ({"seeds": (1, 1)}, r"different seeds, .* got \(1, 1\)"),
        ({"experiments": (base, base)}, "a different name for each"),
        ({"target": 96}, r"within \(0, 1\], got 96"),
    ],
)
def test_an_impossible_study_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(study, **changes)


@pytest.mark.slow
def test_a_study_some_of_whose_runs_diverge_succeeds(tmp_path, capsys):
    """Each diverges by the rule of its own: a loss, and a norm whose losses are finite."""
    text = """
import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification

def run(name, lr, **changes):
    task = ImageClassification(ResNet(stages=(1,), width=2), Synthetic(num_train=64, num_test=32))
    return Experiment(
        name=name, task=task, phases=(js.Phase(1, 16),), optimizer=js.SGD(lr, **changes),
        evaluate_every=0.25, num_devices=1,
    )

head = {"lr_factors": (("stem*", 0.0), ("stage*", 0.0))}
study = Study(
    name="rates", seeds=(0,), target=0.01,
    experiments=(run("sound", 0.01), run("hot", 1e30), run("grown", 1e20, **head)),
)
"""
    (tmp_path / "rates.py").write_text(text)
    main(["bench", str(tmp_path / "rates.py"), "--workdir", str(tmp_path)])  # exits with 0
    records = [read_record(path) for path in (tmp_path / "rates" / "records").glob("*.jsonl")]
    found = {record.name: (record.status, record.end["reason"]) for record in records}
    assert {name: status for name, (status, _) in found.items()} == {
        "sound": "finished", "hot": "diverged", "grown": "diverged"
    }  # fmt: skip
    assert "the squared norm of the weights after it is not finite" in found["grown"][1]
    output = capsys.readouterr().out
    assert f"look at it while it runs: jaxsched report {tmp_path / 'rates'}" in output
    page = (tmp_path / "rates" / "report.html").read_text()
    content = json.loads(
        (tmp_path / "rates" / "summary.json").read_text(), parse_constant=pytest.fail
    )
    assert "squared norm" in page and len(content["rows"]) == 3
