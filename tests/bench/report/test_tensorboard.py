"""Event files, read back by TensorBoard itself, which shares no code with the writer."""

import dataclasses
import datetime
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from jaxsched.bench import Results, write_event_files
from jaxsched.cli import main

STUDY = Path(__file__).parents[3] / "experiments" / "results" / "speedrun"


@pytest.fixture(scope="module")
def results():
    return Results.read([STUDY])


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    write_event_files(results, folder)
    return folder


def lines(name, seed):
    (path,) = (STUDY / "records").glob(f"{name}-*-seed{seed}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_run_has_a_folder(folder):
    names = {path.parent.relative_to(folder).parts for path in folder.glob("**/*tfevents*")}
    records = [path.stem.rsplit("-", 2) for path in (STUDY / "records").iterdir()]
    assert names == {("speedrun", name, seed) for name, _, seed in records}


@pytest.mark.parametrize(
    ("tag", "column"),
    [
        ("accuracy/test", "test_accuracy"),
        ("accuracy/test_averaged", "averaged_test_accuracy"),
        ("loss/train", "train_loss"),
        ("loss/test", "test_loss"),
        ("hyperparameters/learning_rate", "learning_rate"),
        ("hyperparameters/momentum", "momentum"),
        ("hyperparameters/weight_decay", "weight_decay"),
        ("hyperparameters/batch_size", "batch_size"),
        ("weights/squared_norm", "squared_norm"),
        ("time/examples", "examples"),
        ("time/epoch", "epoch"),
    ],
)
def test_tensorboard_reads_the_values_of_the_record(folder, tag, column):
    accumulator = EventAccumulator(str(folder / "speedrun" / "averaged" / "seed1")).Reload()
    header, *rows, _ = lines("averaged", 1)
    start = datetime.datetime.fromisoformat(header["started"]).timestamp()
    # The average is empty at first.
    assert [(event.step, event.value, event.wall_time) for event in accumulator.Scalars(tag)] == [
        (
            row["step"],
            np.float32(row[column]),
            pytest.approx(start + row["train_seconds"] + row["evaluation_seconds"], abs=1e-3),
        )
        for row in rows
        if row[column] is not None
    ]


def test_a_quantity_that_a_run_lacks_has_no_curve(folder):
    accumulator = EventAccumulator(str(folder / "speedrun" / "one_cycle" / "seed0")).Reload()
    tags = accumulator.Tags()["scalars"]
    assert "accuracy/test" in tags and "accuracy/test_averaged" not in tags


def test_a_loss_that_is_not_finite_is_a_point(results, tmp_path):
    (record, *_) = results.records
    row = {**record.evaluations[0], "test_loss": "inf"}  # as `describe` writes it
    altered = dataclasses.replace(record, evaluations=(row,))
    write_event_files(dataclasses.replace(results, records=(altered,)), tmp_path)
    run = tmp_path / "speedrun" / record.name / f"seed{record.header['seed']}"
    (event,) = EventAccumulator(str(run)).Reload().Scalars("loss/test")
    assert (event.step, event.value) == (row["step"], math.inf)


def hyperparameters(folder, name):
    (path,) = (folder / "speedrun" / name / "seed2").iterdir()
    (content,) = (
        value.metadata.plugin_data.content
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    )
    found = parse_session_start_info_plugin_data(content).hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in found.items()}


def test_hyperparameters_are_those_in_which_the_runs_differ(folder):
    found = hyperparameters(folder, "one_cycle")
    assert found["seed"] == 2 and found["name"] == "one_cycle"
    assert found["optimizer.lr.type"] == "OneCycle" and found["optimizer.lr.peak"] == 0.2
    assert found["phases.0.epochs"] == 1.5
    assert not {"precision", "phases.0.batch_size"} & set(found)  # all have these
    assert hyperparameters(folder, "multi_step")["optimizer.lr.type"] == "MultiStep"


def test_writing_again_replaces_the_files(results, folder):
    def contents():
        return {path: path.read_bytes() for path in folder.glob("**/*tfevents*")}

    before = contents()
    write_event_files(results, folder)
    assert contents() == before


def test_the_command_writes_event_files(tmp_path, capsys):
    events = tmp_path / "event files"
    main(["report", str(STUDY), "--output", str(tmp_path), "--tensorboard", str(events)])
    assert len(list(events.glob("speedrun/*/seed*/*tfevents*"))) == 60
    assert f"tensorboard --logdir '{events}'" in capsys.readouterr().out


def test_without_tensorboardx_the_extra_is_named_and_nothing_written(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboardX"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(SystemExit) as end:
        main(["report", str(STUDY), "--output", str(tmp_path / "out"), "--tensorboard", "here"])
    assert end.value.code == 2
    assert (
        "tensorboardX, which the extra [tensorboard] brings: pip install" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
