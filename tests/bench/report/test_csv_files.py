"""CSV files compared with the records' lines, read without jaxsched."""

import csv
import inspect
import json
import re
from pathlib import Path

import pytest

from jaxsched.bench import Results, StudyManifest
from jaxsched.bench.report.csv_files import write_evaluations, write_runs
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

STUDY = Path(__file__).parents[3] / "experiments" / "results" / "speedrun"


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results():
    return Results.read([STUDY])


@pytest.fixture(scope="module")
def runs(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "runs.csv"
    write_runs(results, path)
    return read(path)


def lines(run):
    (path,) = (STUDY / "records").glob(f"{run['experiment']}-*-seed{run['seed']}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_row_of_a_run_has_the_values_of_its_record(runs):
    assert len(runs) == 6 * 10
    for run in runs:
        header, *rows, end = lines(run)
        target = float(run["target"])
        counts = "averaged_test_accuracy" if run["experiment"] == "averaged" else "test_accuracy"
        reached = [row for row in rows if (row[counts] or row["test_accuracy"]) >= target]
        expected = reached[0] if reached else dict.fromkeys(rows[0], "")
        assert run["steps_to_target"] == str(expected["step"])
        assert run["examples_to_target"] == str(expected["examples"])
        assert run["train_seconds_to_target"] == str(expected["train_seconds"])
        assert float(run["final_test_accuracy"]) == rows[-1]["test_accuracy"]
        average = rows[-1]["averaged_test_accuracy"]
        assert run["final_averaged_test_accuracy"] == ("" if average is None else str(average))
        for column in ("examples", "train_seconds", "evaluation_seconds"):
            assert run[column] == str(rows[-1][column])
        assert run["steps"] == run["planned_steps"] == str(header["total_steps"])
        assert run["status"] == "finished" and run["reason"] == ""
        assert float(run["images_per_second"]) == end["images_per_second"]
        assert run["process_peak_bytes"] == str(end["peak_memory"]["process"])
        for column in ("compile_seconds", "digest", "started"):
            assert run[column] == str(header[column])
        for column in ("device", "num_devices", "processor", "commit"):
            assert run[column] == str(header["environment"][column])
        assert run["jax"] == header["environment"]["packages"]["jax"]


def test_misses_and_averages_are_those_of_the_table(runs):
    missed = {run["experiment"] for run in runs if run["steps_to_target"] == ""}
    assert missed == {"multi_step", "nesterov", "speedrun", "averaged"}
    averaged = {run["experiment"] for run in runs if run["final_averaged_test_accuracy"]}
    assert averaged == {"averaged"}
    assert {run["experiment"] for run in runs if run["evaluate"] == "averaged"} == averaged


def test_a_run_has_its_updates_to_the_target_by_raw_and_by_averaged_weights(tmp_path):
    swa = Results.read([STUDY.parent / "averages"])
    write_runs(swa, tmp_path / "runs.csv")
    for run in read(tmp_path / "runs.csv"):
        (path,) = (STUDY.parent / "averages" / "records").glob(
            f"{run['experiment']}-*-seed{run['seed']}.jsonl"
        )
        rows = [json.loads(line) for line in path.read_text().splitlines()][1:-1]
        for weights, column in ("raw", "test_accuracy"), ("averaged", "averaged_test_accuracy"):
            found = [row["step"] for row in rows if (row[column] or row["test_accuracy"]) >= 0.6]
            expected = str(found[0]) if run["experiment"] == "swa" else ""
            assert run[f"{weights}_steps_to_target"] == expected


def test_every_column_is_documented(runs):
    text = inspect.getdoc(write_runs).split("Columns:")[1].split("Args:")[0]
    documented = re.findall(r"^    (\w[\w, ]*):", text, re.MULTILINE)
    names = ", ".join(documented).replace("METRIC", "test_accuracy").split(", ")
    names.remove("device_peak_bytes")  # a CPU has no memory of its own
    assert names == list(runs[0])


def test_a_run_that_diverged_at_once_has_a_row_and_no_evaluations(tmp_path):
    manifest = StudyManifest(
        name="s", runs=(Run("hot", "d", 0),), target=0.5, further_targets=(), baseline="hot",
        published={},
    )  # fmt: skip
    header = {"name": "hot", "seed": 0, "digest": "d", "total_steps": 8}
    end = {"status": "diverged", "reason": 'diverged at update 1: "nan", not finite'}
    results = Results.of(manifest, [Record(header, (), end)])
    write_runs(results, tmp_path / "runs.csv")
    write_evaluations(results, tmp_path / "evaluations.csv")
    (run,) = read(tmp_path / "runs.csv")
    assert (run["status"], run["reason"], run["planned_steps"]) == (*end.values(), "8")
    assert run["steps"] == run["steps_to_target"] == run["final_test_accuracy"] == ""
    assert read(tmp_path / "evaluations.csv") == []
    assert (tmp_path / "evaluations.csv").read_text() == "study,experiment,seed,step\n"


def test_evaluations_have_the_values_of_the_records(results, tmp_path):
    write_evaluations(results, tmp_path / "evaluations.csv")
    rows = read(tmp_path / "evaluations.csv")
    found = [(record, row) for record in results.records for row in record.evaluations]
    for row, (record, evaluation) in zip(rows, found, strict=True):
        study, name, seed, *numbers = row.items()
        assert (study[1], name[1]) == ("speedrun", record.name)
        assert seed[1] == str(record.header["seed"])
        for column, text in numbers:
            assert (None if text == "" else float(text)) == evaluation[column]
