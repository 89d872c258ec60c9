"""Members on record: the same rows by every strategy, and no run made twice."""

import dataclasses
import io
import itertools
import json

import numpy as np
import pytest
from rich.console import Console

import jaxsched as js
from jaxsched.experiment import describe, with_value
from jaxsched.models import CifarResNet
from jaxsched.tracking import Progress, RecordWriter, read_record
from jaxsched.train import Member, Program, ResumeOptions, train
from jaxsched.tune.execution.runner import Runner, families
from jaxsched.tune.execution.snapshots import Snapshots


@pytest.fixture(scope="module")
def members(experiment):
    """Two that train, one of them without the links that the other has, and one that diverges."""
    # Deep enough that the loss overflows at one and the same update, in whatever order XLA adds.
    model = CifarResNet(depth=8, width=2)
    half = dataclasses.replace(experiment.with_task(model=model), evaluate_every=0.5)
    values = {
        "held": {"weight_decay": 1e-2, "momentum": 0.9},
        "bare": {"weight_decay": 0.0, "momentum": 0.0},
        "hot": {"weight_decay": 1e-2, "momentum": 0.9, "lr": 1e30},
    }
    found = []
    for name, changes in values.items():
        member = dataclasses.replace(half, name=name)
        for field, value in changes.items():
            member = with_value(member, field, value)
        found.append(Member(member, 1))
    return found


def run(members, folder, progress, choice="in_turn", **options):
    runner = Runner(folder, source_text="# file", progress=progress, choice=choice, **options)
    runner.run(members)
    return [read_record(runner.path(member)) for member in members]


def numbers(record):
    names = (
        "step", "examples", "epoch", "batch_size", "learning_rate", "momentum", "weight_decay",
        "train_loss", "train_accuracy", "test_loss", "test_accuracy", "squared_norm",
    )  # fmt: skip
    return np.array([[row[name] for name in names] for row in record.evaluations])


@pytest.fixture(scope="module")
def alone(members):
    """Rows and outcome of each that trains, by a program of its own."""
    found = []
    for member in members[:2]:
        rows = []
        program = Program(member.experiment, member.experiment.task.data.load())
        outcome = train(program, member.seed, on_evaluation=rows.append)
        found.append(([row.as_json() for row in rows], outcome))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "choice",
    [
        "in_turn",
        "devices",
        "vmap",
    ],
)
def test_the_records_are_those_of_runs_alone(members, alone, choice, tmp_path, progress):
    records = run(members, tmp_path, progress, choice)
    # Convolutions of several members are others to XLA, which adds in another order.
    tolerance = {"rtol": 5e-3, "atol": 5e-3} if choice == "vmap" else {"rtol": 2e-6, "atol": 0}
    *trained, hot = records
    for record, (rows, outcome) in zip(trained, alone, strict=True):
        assert (record.end["status"], record.end["reason"]) == (outcome.status, outcome.reason)
        assert record.end["phases"] == describe(outcome.plan.phases)
        assert len(record.evaluations) == len(rows)
        for found, expected in zip(record.evaluations, rows, strict=True):
            assert found.keys() == {"kind", *expected}
            for name in (name for name in expected if "seconds" not in name):
                if isinstance(expected[name], int | float):
                    np.testing.assert_allclose(found[name], expected[name], **tolerance)
                else:
                    assert found[name] == expected[name]
        seconds = [row["train_seconds"] for row in record.evaluations]
        assert all(before < after for before, after in itertools.pairwise([0, *seconds]))
    # From 4e28 on the loss of the next batch is not finite, by any strategy.
    assert (hot.end["status"], hot.end["reason"]) == (
        "diverged", "diverged at update 1: the training loss is not finite"
    )  # fmt: skip
    assert not hot.evaluations and hot.end["images_per_second"] is None
    ways = [record.header.get("at_once", {"way": "in_turn"})["way"] for record in records]
    assert ways == [choice] * 3
    assert records[0].header["source"] == "# file"
    json.dumps(records[0].header)


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["in_turn", "devices"])
def test_an_interrupt_keeps_what_had_finished_and_nothing_is_made_twice(
    members, choice, tmp_path, progress
):
    def check():
        if len(list(tmp_path.glob("*.jsonl"))) == 2:  # the second has begun
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(members, tmp_path, progress, choice, check=check)
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.jsonl")}
    assert len(written) == 2
    (finished,) = [name for name in written if read_record(tmp_path / name).is_complete]
    records = run(members, tmp_path, progress, choice)
    assert all(record.is_complete for record in records)
    assert (tmp_path / finished).stat().st_mtime_ns == written[finished]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.jsonl")}
    run(members, tmp_path, progress, choice)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_networks_and_batch_sizes_are_families_of_their_own(experiment):
    wide = with_value(experiment, "model.width", 4)
    large = with_value(experiment, "batch_size", 32)
    decays = [with_value(experiment, "weight_decay", value) for value in (0.0, 1e-3)]
    members = [Member(e, seed) for seed in (0, 1) for e in (*decays, wide, large)]
    assert [[member.experiment for member in family] for family in families(members)] == [
        [*decays, *decays], [wide, wide], [large, large]
    ]  # fmt: skip


@pytest.mark.parametrize("choice", ["in_turn", "devices"])
@pytest.mark.slow
def test_from_a_snapshot_the_middle_member_is_the_run_that_never_stopped(
    members, alone, choice, tmp_path, progress
):
    held, bare, _ = members
    snapshots = Snapshots(held.experiment, 1.0, tmp_path / "snapshots")
    options = {"choice": choice, "snapshots": snapshots}
    # Alone, a weight decay of 0 has no link; it takes one from the state that it goes on from.
    first = [bare] if choice == "in_turn" else [bare, held]
    other = run(first, tmp_path, progress, **options)[0]
    (middle,) = run([held], tmp_path, progress, **options)
    tolerance = {"rtol": 0} if choice == "in_turn" else {"rtol": 2e-6}
    for name in ("step", "test_loss", "train_loss", "squared_norm", "learning_rate"):
        found = [row[name] for row in middle.evaluations]
        np.testing.assert_allclose(found, [row[name] for row in alone[0][0]], **tolerance)
    assert other.header["resumed_at"] == 7  # of 100 examples at 16
    assert numbers(other)[:2].tolist() == numbers(middle)[:2].tolist()
    assert numbers(other)[2, -3:].tolist() != numbers(middle)[2, -3:].tolist()
    assert other.evaluations[-1]["weight_decay"] == 0
    folder = tmp_path / "snapshots" / "seed1"
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["snapshot"]


@pytest.mark.slow
def test_a_snapshot_that_diverges_says_so(members, tmp_path, progress):
    hot = members[2]
    snapshots = Snapshots(hot.experiment, 1.0, tmp_path / "snapshots")
    with pytest.raises(ValueError, match="from which the others start, diverged at update"):
        run(members, tmp_path, progress, snapshots=snapshots)


@pytest.mark.slow
def test_a_record_that_another_command_writes_is_left_to_it(members, tmp_path, progress, lines):
    path = Runner(tmp_path, source_text="", progress=progress).path(members[0])
    with (
        RecordWriter(path, lines.header()),
        pytest.raises(BlockingIOError, match=rf"writes {path}; wait for it"),
    ):
        run(members[:1], tmp_path, progress)
    assert read_record(path).header["name"] == "a" and not read_record(path).evaluations
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
def test_what_cannot_be_read_is_kept_and_the_others_are_run(members, tmp_path, lines):
    said = io.StringIO()
    with Progress(Console(file=said)) as progress:
        runner = Runner(tmp_path, source_text="", progress=progress, choice="in_turn")
        damaged, finished = map(runner.path, members[:2])
        damaged.write_text("{}\n")
        runner.run(members[:2])
    assert damaged.read_text() == "{}\n" and read_record(finished).is_complete
    assert f"{damaged}, line 1: expected a record" in said.getvalue()


def test_finished_runs_of_other_data_are_refused(members, tmp_path, progress, lines):
    path = Runner(tmp_path, source_text="", progress=progress).path(members[0])
    data = {**members[0].experiment.task.data.load().fingerprint, "classes": 5}
    with RecordWriter(path, lines.header(data=data)) as writer:
        writer.end(status="finished", reason="")
    with pytest.raises(ValueError, match=rf"{path} was made with other data: classes: 5 -> 4"):
        run(members[:1], tmp_path, progress)


@pytest.mark.slow
def test_a_run_can_start_from_a_snapshot(members, tmp_path, progress):
    held = members[0]
    run([held], tmp_path, progress, snapshots=Snapshots(held.experiment, 1.0, tmp_path / "from"))
    snapshot = tmp_path / "from" / "seed1" / "snapshot"
    longer = dataclasses.replace(held.experiment, phases=(js.Phase(epochs=5, batch_size=16),))
    dataset = longer.task.data.load()
    plan, record = longer.plan(len(dataset.train)), tmp_path / "longer.jsonl"
    options = ResumeOptions(tmp_path / "longer", start_from=snapshot)
    assert options.check(longer, plan, record, dataset) == ""
    assert options.load(None, Program(longer, dataset)).step == 7  # of 100 examples at 16
    larger = dataclasses.replace(held.experiment, phases=(js.Phase(epochs=5, batch_size=20),))
    with pytest.raises(ValueError, match="made after 7 updates and 112 examples of a set of 100"):
        options.check(larger, larger.plan(100), record, dataset)
