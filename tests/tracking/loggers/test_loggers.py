"""Loggers are told what the record holds, and none of them can end a run."""

import json
import logging
import math
import struct
import time
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

import jaxsched as js
from jaxsched.cli.option_types import LogNames
from jaxsched.tracking import (
    LOGGERS,
    LoggedRun,
    Logger,
    TensorBoard,
    WeightsAndBiases,
    read_record,
)
from jaxsched.tracking.loggers.events import EventFile

FULL = Path("/dev/full")


class Told(Logger):
    """Keeps what it is told; raises in the calls that are named."""

    def __init__(self, *broken):
        self.calls, self.broken = [], broken

    def _add(self, *call):
        self.calls.append(call)
        if call[0] in self.broken:
            raise OSError("the network is gone\nfor good")

    def start(self, header):
        self._add("start", header)

    def evaluation(self, row):
        self._add("evaluation", row)

    def end(self, status, reason):
        self._add("end", status, reason)


def test_a_logger_that_fails_is_told_no_more_and_that_is_said_once(lines):
    header, rows, said = lines.header("sgd", seed=3), [lines.row(1), lines.row(2)], []
    loggers = Told("evaluation"), Told(), Told("start", "end")
    with LoggedRun(loggers, header, said.append) as logged:
        for row in rows:
            logged.evaluation(row)
        logged.end("finished", "")
    whole = [("start", header), *(("evaluation", row) for row in rows), ("end", "finished", "")]
    assert [logger.calls for logger in loggers] == [whole[:2], whole, whole[:1]]
    sentence = "sgd, seed 3 goes on without Told, which failed: OSError: the network is gone"
    assert said == [sentence, sentence]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ValueError("no"), ("failed", "ValueError: no")),
        (KeyboardInterrupt("at 5"), ("interrupted", "at 5")),
    ],
)
def test_whatever_ends_the_run_is_told(lines, error, end):
    told = Told()
    with pytest.raises(type(error)), LoggedRun([told], lines.header()):
        raise error
    assert told.calls[1:] == [("end", *end)]


def test_a_fit_tells_what_its_record_holds_although_a_logger_fails(tmp_path, caplog):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(2, size=40)
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    told = [Told(), Told()]

    def fit(seed, logger, **where):
        optimizer = js.SGD(0.1)
        return js.fit(
            nn.Dense(2), (x, y), optimizer=optimizer, epochs=2, batch_size=9, seed=seed,
            loggers=[TensorBoard(in_the_way), logger], **where,
        )  # fmt: skip

    with caplog.at_level(logging.WARNING):
        fitted = fit(0, told[0], workdir=tmp_path / "runs")
        fit(1, told[1])
    assert [message.count("without TensorBoard, which failed") for message in caplog.messages] == [
        1,
        1,
    ]
    record = read_record(fitted.record)
    assert record.status == "finished" and len(record.evaluations) == 2
    (_, header), *rows, end = told[0].calls
    for found, expected in ((header, record.header), *zip(rows, record.evaluations, strict=True)):
        found = found[1] if isinstance(found, tuple) else found
        assert json.loads(json.dumps({**expected, **found})) == dict(expected)
    assert end == ("end", "finished", "")
    # Without a record, the same lines.
    assert [call[0] for call in told[1].calls] == ["start", "evaluation", "evaluation", "end"]
    assert told[1].calls[0][1].keys() == header.keys() and told[1].calls[0][1]["seed"] == 1


def test_the_names_of_the_option_are_those_of_the_loggers():
    assert set(LOGGERS) == {"tensorboard", "wandb"}
    for name in LOGGERS:
        assert f"'{name}'" in str(LogNames)


def points(folder, tag):
    accumulator = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def test_tensorboard_shows_a_run_while_it_goes_on_and_no_point_twice_after_a_resume(
    lines, tmp_path
):
    header = lines.header(config={"optimizer": {"lr": 0.1, "type": "SGD"}, "phases": [{"n": 2}]})
    rows = [lines.row(n, test_loss=1 / n, averaged_test_loss=None) for n in (1, 2, 3, 4)]
    rows[2] |= {"test_loss": "inf", "averaged_test_loss": 0.25}
    first, second = TensorBoard(tmp_path), TensorBoard(tmp_path)
    first.start(header)
    for row in rows[:3]:
        first.evaluation(row)
        # It is there at once, before the file is closed.
        assert points(tmp_path, "loss/test")[-1] == (row["step"], np.float32(row["test_loss"]))
    first.end("interrupted", "")
    # The run was saved after its first row, and is told from the start.
    second.start({**header, "resumed_at": 1})
    for row in rows:
        second.evaluation(row)
    second.end("diverged", "diverged at update 3")
    expected = [(row["step"], np.float32(row["test_loss"])) for row in rows]
    assert points(tmp_path, "loss/test") == expected
    assert points(tmp_path, "loss/test_averaged") == [(3, 0.25)]
    assert points(tmp_path, "hyperparameters/learning_rate")[0] == (1, np.float32(0.1))
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()["tensors"]
    assert {"run/text_summary", "end/text_summary"} <= set(tags)
    assert hyperparameters(max(tmp_path.iterdir())) == {
        "optimizer.lr": 0.1, "optimizer.type": "SGD", "phases.0.n": 2,
    }  # fmt: skip


def hyperparameters(path):
    (content,) = (
        value.metadata.plugin_data.content
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    )
    found = parse_session_start_info_plugin_data(content).hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in found.items()}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of a package that is not ours
def test_wandb_keeps_a_run_offline_and_its_id_when_it_is_resumed(lines, tmp_path, monkeypatch):
    for name, value in {"MODE": "offline", "SILENT": "true", "PROJECT": "mine"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    header = lines.header("sgd", seed=3, resumed_at=None)
    rows = [lines.row(n, test_loss=1 / n) for n in (5, 10, 15)]
    for start, told, end in (
        ({}, rows[:2], "interrupted"),
        ({"resumed_at": 5}, rows, "finished"),
        ({}, rows[:1], "diverged"),
    ):
        logger = WeightsAndBiases(tmp_path)
        logger.start({**header, **start})
        for row in told:
            logger.evaluation(row)
        logger.end(end, "")
    runs = [ended(path) for path in sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))]
    by_end = {run["summary"]["status"]: run for run in runs}
    cut, resumed, anew = (by_end[end] for end in ("interrupted", "finished", "diverged"))
    assert cut["id"] == resumed["id"] != anew["id"]
    assert (cut["exit"], resumed["exit"], anew["exit"]) == (1, 0, 1)
    for run, told in ((cut, rows[:2]), (resumed, rows), (anew, rows[:1])):
        assert [(h["_step"], h["loss/test"], h["accuracy/test"]) for h in run["history"]] == [
            (row["step"], row["test_loss"], row["test_accuracy"]) for row in told
        ]
        assert (run["project"], run["group"], run["name"]) == ("mine", "sgd", "sgd, seed 3")
        assert run["config"]["optimizer"] == {"type": "SGD"}


def ended(path):
    """Its transactions once wandb's own process, which may be behind, has written the last ones."""
    for _ in range(600):
        run = transactions(path)
        if "exit" in run and "status" in run["summary"]:
            break
        time.sleep(0.1)
    return run


def transactions(path):
    """What the file holds that `wandb sync` sends, by wandb's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = {"history": [], "config": {}, "summary": {}}
    for data in leveldb_records(path.read_bytes()):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found |= {"id": run.run_id, "project": run.project, "group": run.run_group}
            found["name"] = run.display_name
            found["config"] |= {item.key: json.loads(item.value_json) for item in run.config.update}
        elif kind == "history":
            items = record.history.item
            row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
            found["history"].append(row)
        elif kind == "summary":
            items = record.summary.update
            found["summary"] |= {
                i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items
            }
        elif kind == "exit":
            found["exit"] = record.exit.exit_code
    return found


def leveldb_records(data):
    """The records of a log in LevelDB's format, in blocks of 32 KiB, after a header of 7 bytes."""
    assert data[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(data):
        if at % 32768 > 32768 - 7:  # the rest of a block is too short for a header
            at += -at % 32768
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        if at + 7 + size > len(data):  # it is being written
            return
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # the whole record, or its last part
            yield parts
            parts = b""


@pytest.mark.skipif(not FULL.exists(), reason="this system has no disk that is always full")
def test_a_full_disk_ends_the_event_file_and_not_the_run(lines):
    class OnFullDisk(Logger):
        def start(self, header):
            self.file = EventFile(FULL, header)

        def evaluation(self, row):
            self.file.evaluation(row)
            self.file.flush()

    said = []
    with LoggedRun([OnFullDisk()], lines.header("sgd"), said.append) as logged:
        logged.evaluation(lines.row(1))
        logged.evaluation(lines.row(2))
        logged.end("finished", "")
    assert len(said) == 1 and "without OnFullDisk, which failed: OSError" in said[0]


def test_a_number_that_is_not_finite_is_a_point_of_its_curve(lines, tmp_path):
    board = TensorBoard(tmp_path)
    board.start(lines.header())
    board.evaluation(lines.row(1, test_loss="nan"))
    board.end("finished", "")
    ((_, value),) = points(tmp_path, "loss/test")
    assert math.isnan(value)
