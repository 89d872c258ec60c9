"""Reports of runs of `train`, and of what still runs, by the command."""

import json
import signal
import subprocess
import sys
import time

import pytest

from jaxsched.bench import StudyManifest
from jaxsched.bench.study.runs_of_train import told_apart
from jaxsched.cli import main
from jaxsched.tracking import Record, RecordWriter, claim_record


@pytest.fixture
def write(lines):
    def write(folder, name, seed, accuracies, *, digest="d1", peak=0.1, end="finished", **header):
        """Writes a record as `train` does; without an end it is that of a run under way."""
        config = {"optimizer": {"type": "SGD", "lr": {"peak": peak}}, "seed": seed}
        content = lines.header(name, seed, digest=digest, config=config, total_steps=90, **header)
        path = folder / f"{name}-{digest}-seed{seed}.jsonl"
        with RecordWriter(path, content) as writer:
            for number, accuracy in enumerate(accuracies, start=1):
                writer.evaluation(lines.row(10 * number, test_accuracy=accuracy))
            if end:
                writer.end(status=end, reason="")
        return path

    return write


@pytest.fixture
def folder(tmp_path, write):
    """Two experiments, one of them with two learning rates, with two seeds each."""
    for seed in (0, 1):
        started = {"started": f"2026-01-01T00:00:0{seed}+00:00"}
        write(tmp_path / "train", "cosine", seed, [0.5, 0.7 + seed / 10], **started)
        write(tmp_path / "train", "cosine", seed, [0.6, 0.9], digest="d2", peak=0.3)
        write(tmp_path / "train", "steps", seed, [0.4, 0.5], digest="d3")
    return tmp_path / "train"


def summary(folder):
    content = json.loads((folder / "summary.json").read_text())
    return content, {row["name"]: row for row in content["rows"]}


def test_a_folder_of_runs_makes_a_page_that_is_named_after_it(folder, capsys):
    main(["report", str(folder), "--target", "0.6"])
    content, rows = summary(folder / "report")
    assert {name: (row["seeds"], row["steps"]) for name, row in rows.items()} == {
        "cosine peak 0.1": (2, 20), "cosine peak 0.3": (2, 10), "steps": (2, None),
    }  # fmt: skip
    assert content["baseline"] == "cosine peak 0.1"  # that of the first run
    assert content["caveats"][0] == (
        "2 different configs have the name cosine; here they are called cosine peak 0.1, cosine "
        "peak 0.3."
    )
    page = (folder / "report" / "report.html").read_text()
    assert "<title>train" in page and "cosine peak 0.3" in page
    output = capsys.readouterr().out
    assert f"tables and curves in {folder / 'report'}" in output and "have ended" not in output
    # The target is kept, the baseline is new; the records stay as they are.
    main(["report", str(folder), "--baseline", "steps"])
    again, _ = summary(folder / "report")
    assert (again["target"], again["baseline"]) == (0.6, "steps")
    assert len(list(folder.glob("*.jsonl"))) == 6


def test_records_of_several_folders_are_one_study_beside_others(folder, write, tmp_path):
    other = write(tmp_path / "b", "wsd", 0, [0.8])
    mine = next(folder.glob("steps-*-seed0.jsonl"))
    main(["report", str(mine), str(other)])
    assert set(summary(tmp_path / "report")[1]) == {"steps", "wsd"}
    main(["report", str(folder), str(other), "--output", str(tmp_path / "out")])
    assert len(summary(tmp_path / "out" / "train")[1]) == 3
    assert set(summary(tmp_path / "out" / "b")[1]) == {"wsd"}


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, arguments)])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_what_does_not_fit_together_is_refused_with_the_fix(folder, write, tmp_path, capsys):
    study = tmp_path / "study"
    manifest = StudyManifest.read(reported(folder) / "study.json")
    manifest.__class__(**{**vars(manifest), "is_from_records": False}).write(study / "study.json")
    before = (study / "study.json").read_bytes()
    assert "has the report of the study train" in refused(capsys, folder, "--output", study)
    assert (study / "study.json").read_bytes() == before
    write(folder, "words", 0, [0.5], main_metric="loss", metrics={"loss": LOSS})
    new = ("--output", tmp_path / "new")  # where no report before has chosen a metric
    assert "or give the files of runs that belong together" in refused(capsys, folder, *new)


LOSS = {"better": "lower", "is_share": False}


def reported(folder):
    main(["report", str(folder)])
    return folder / "report"


def test_configs_are_told_apart_by_what_differs_or_by_their_digests():
    def labels(*configs):
        records = [
            Record({"name": "a", "seed": 0, "digest": f"d{n}", "config": config}, (), None)
            for n, config in enumerate(configs)
        ]
        found, sentences = told_apart(records)
        assert len(sentences) == (len(configs) > 1)
        assert [record.header["digest"] for record in found] == [f"d{n}" for n in range(len(found))]
        return [record.name for record in found]

    def phases(*epochs):
        return {"phases": [{"epochs": n} for n in epochs]}

    assert labels({"lr": 1}) == ["a"]
    assert labels({"lr": 1e-4, "x": 1}, {"lr": 0.1, "x": 1}) == ["a lr 1e-4", "a lr 0.1"]
    assert labels(phases(2, 3), phases(4, 5)) == [
        "a 0.epochs 2 1.epochs 3", "a 0.epochs 4 1.epochs 5"
    ]  # fmt: skip
    assert labels({"folder": "a/b"}, {"folder": "a b"}) == ["a d0", "a d1"]  # both "a_b" in a name
    many = [{name: n for name in "pqrs"} for n in range(2)]
    assert labels(*many) == ["a d0", "a d1"]


def test_a_run_under_way_is_told_and_does_not_count(folder, write, capsys):
    path = write(folder, "steps", 2, [0.4, 0.91], digest="d3", end=None)
    with claim_record(path):
        main(["report", str(folder)])
        said = "1 is in progress (steps, seed 2: update 20 of 90, test accuracy 91.00%)"
        content, rows = summary(folder / "report")
        assert f"Runs that have not ended do not count: {said}." in content["caveats"]
        assert rows["steps"]["seeds"] == 2
        output = capsys.readouterr().out
        assert f"train: 6 of 7 runs have ended, {said}; run the same command again" in output
    main(["report", str(folder)])
    assert "1 has begun, but no process makes it now" in capsys.readouterr().out


def test_before_any_run_has_ended_its_progress_is_told(write, tmp_path, capsys):
    path = write(tmp_path / "train", "steps", 2, [], end=None)
    (path.with_suffix("")).mkdir()
    (path.with_suffix("") / "curves.png").touch()
    with claim_record(path):
        main(["report", str(path.parent)])
    output = capsys.readouterr().out
    assert "0 of 1 runs have ended, 1 is in progress (steps, seed 2: before its first" in output
    assert f"curves so far: {path.with_suffix('') / 'curves.png'}" in output
    assert not (path.parent / "report").exists()
    # Of a run that nobody makes nothing can be expected.
    assert "expected records with evaluations, got none" in refused(capsys, path)


STUDY = """
import jaxsched as js
from jaxsched.bench import MedianBest, Study
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification

one = Experiment(
    name="one",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2), data=Synthetic(num_train=64, num_test=32)
    ),
    phases=(js.Phase(epochs=5000, batch_size=16),),
    optimizer=js.SGD(0.01),
    num_devices=1,
)
study = Study(name="live", experiments=(one,), seeds=(0, 1), target=MedianBest("one"))
"""


@pytest.mark.slow
def test_a_study_can_be_looked_at_while_it_runs(tmp_path, capsys):
    (tmp_path / "study.py").write_text(STUDY)
    command = [sys.executable, "-m", "jaxsched.cli", "bench", tmp_path / "study.py"]
    process = subprocess.Popen(
        [*command, "--workdir", tmp_path, "--log", "tensorboard"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 240
        while not any(b'"evaluation"' in p.read_bytes() for p in tmp_path.glob("live/*/*.jsonl")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        capsys.readouterr()
        main(["report", str(tmp_path / "live")])
        output = capsys.readouterr().out
        assert "live: 0 of 2 runs have ended, 1 is in progress (one, seed 0: update " in output
        assert " of 20,000, test accuracy " in output and "again later" in output
        assert len(list((tmp_path / "live/logs/one/seed0").glob("*tfevents*"))) == 1
    finally:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert f"look at it while it runs: jaxsched report {tmp_path / 'live'}" in printed
