"""Runs that real signals interrupt and that are resumed, against the uninterrupted run."""

import contextlib
import csv
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxsched.cli import main
from jaxsched.train.checkpointing.checkpoints import restore_named
from jaxsched.train.checkpointing.integrity import with_checksum
from jaxsched.train.checkpointing.orbax_io import saved_steps
from jaxsched.train.step.state import init_state
from jaxsched.train.step.update_sums import UpdateSums

# All stateful transformations, two batch sizes, batches that straddle epochs; it takes a few
# seconds.
CONFIG = """
import jaxsched as js
from jaxsched.data import Augment, Digits
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="long",
    task=ImageClassification(ResNet(stages=(1,), width=4), Digits(), Augment(1, False)),
    phases=(js.Phase(8, 16), js.Phase(10, 24)),
    optimizer=js.SGD(
        js.Cosine(0.1, duration=20),
        momentum=0.9,
        weight_decay=5e-3,
        abel=js.Abel(0.5, last_decay=15),
        plateau=js.Plateau(patience=2, factor=0.9),
        averaging=js.Averaging(start=10, statistics_examples=500),
    ),
    num_devices=1,
)
"""
TOTAL_STEPS = 1369


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    (folder / "long.py").write_text(CONFIG)
    return folder


def start(folder, workdir, *arguments, minutes=0.005):
    """Starts a process that trains and saves all the time."""
    # When the tests run in the background or under nohup, their child processes ignore Ctrl-C or
    # the end of a terminal by default.
    heed_signals = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    )
    command = [
        sys.executable,
        "-c",
        heed_signals + "from jaxsched.cli import main; main()",
        "train",
    ]
    options = ["--workdir", str(folder / workdir), "--checkpoint-minutes", str(minutes)]
    environment = os.environ | {
        # All processes compile the same programs, so they share a cache.
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [*command, str(folder / "long.py"), *options, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "finished; record in" in output


def wait_for_step(process, folder, workdir, step):
    """Waits for a checkpoint after `step`."""
    deadline = time.monotonic() + 240
    while not any(max(saved_steps(p), default=-1) > step for p in runs(folder, workdir)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(folder, workdir):
    return [path for path in (folder / workdir).glob("long-*") if path.is_dir()]


def rows(folder, workdir):
    """Returns the record without its header, and without times and memory, which always differ."""
    (record,) = (folder / workdir).glob("long-*.jsonl")
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    for entry in entries:
        entry.pop("train_seconds", None)
        entry.pop("evaluation_seconds", None)
        entry.pop("images_per_second", None)
        entry.pop("peak_memory", None)
        entry.pop("compilations", None)
        entry.pop("crc32")  # over the times, too
    return entries[1:]


@pytest.fixture(scope="module")
def like():
    """Abstract arrays with the shapes of those in the checkpoints."""
    namespace = {}
    exec(CONFIG, namespace)
    experiment = namespace["experiment"]
    plan = experiment.plan(1493)
    assert plan.total_steps == TOTAL_STEPS
    task = experiment.task.build(experiment.task.data.load())
    tx = experiment.optimizer.transformation(plan)
    state = jax.eval_shape(lambda: init_state(task.init(jax.random.key(0)), tx))
    return state, jax.eval_shape(lambda: UpdateSums(task.zero_sums()))


@pytest.fixture(scope="module")
def uninterrupted(folder):
    finish(start(folder, "whole", minutes=10))
    return rows(folder, "whole")


def assert_same_end(folder, workdir, like):
    ends = []
    for name in (workdir, "whole"):
        (run,) = runs(folder, name)
        ends.append(restore_named(run / str(TOTAL_STEPS), like))
    jax.tree.map(np.testing.assert_array_equal, ends[0].arrays, ends[1].arrays)
    assert rows(folder, workdir) == rows(folder, "whole")


def kill_and_resume(folder, workdir, num_kills, seed):
    """Kills a run and its resumptions at random moments, many of them during a save.

    Returns the number of kills.
    """
    draw, arguments, kills = random.Random(seed), (), 0
    while kills < num_kills:
        process = start(folder, workdir, *arguments)
        try:
            step = max((max(saved_steps(p), default=-1) for p in runs(folder, workdir)), default=-1)
            wait_for_step(process, folder, workdir, min(step, TOTAL_STEPS - 1))
            time.sleep(draw.uniform(0, 0.4))
            process.kill()
            process.communicate()
        finally:
            process.kill()
        kills, arguments = kills + 1, ("--resume",)
        if process.returncode != -signal.SIGKILL:  # it finished before it was killed
            break
    return kills


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_bit_for_bit(folder, uninterrupted, like):
    assert kill_and_resume(folder, "killed", num_kills=3, seed=0) == 3
    finish(start(folder, "killed", "--resume", minutes=10))
    assert_same_end(folder, "killed", like)
    assert len(uninterrupted) == 19  # an evaluation after each of 18 epochs, and the end


@pytest.mark.slow
def test_fifty_kills(folder, uninterrupted, like):
    kills, seed = 0, 1
    while kills < 50:
        workdir = f"killed{seed}"
        kills += kill_and_resume(folder, workdir, num_kills=7, seed=seed)
        if not (record := list((folder / workdir).glob("*.jsonl"))) or (
            '"kind": "end"' not in record[0].read_text()
        ):
            finish(start(folder, workdir, "--resume", minutes=10))
        assert_same_end(folder, workdir, like)
        seed += 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_the_run_and_ends_it(folder, uninterrupted, like, number, code):
    workdir, log = f"signal{number}", ("--log", "tensorboard")
    process = start(folder, workdir, *log)
    try:
        wait_for_step(process, folder, workdir, 100)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, output
    assert "and saved at update" in output and "with --resume goes on from there" in output
    assert "Traceback" not in output
    (run,) = runs(folder, workdir)
    before = steps_in_table(run)
    assert before and (run / "curves.png").exists()
    finish(start(folder, workdir, "--resume", *log, minutes=10))
    assert_same_end(folder, workdir, like)
    steps = steps_in_table(run)
    assert steps[: len(before)] == before and steps[-1] == TOTAL_STEPS
    points = EventAccumulator(str(run)).Reload().Scalars("loss/test")
    assert len(list(run.glob("*tfevents*"))) == 2 and [point.step for point in points] == steps


def steps_in_table(run):
    with (run / "evaluations.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


ON_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # now the process is told when the terminal is closed
from jaxsched.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_closed_terminal_costs_nothing(folder, uninterrupted, like):
    """From then on every line that is written to it is an error.

    On a busy machine a run may have ended before its terminal is closed: then another one is made.
    """
    for workdir in ("closed", "closed_again", "closed_at_last"):
        status = close_terminal(folder, workdir, ON_TERMINAL)
        if status == 129:
            break
        assert status in (0, -signal.SIGHUP)
        assert max(saved_steps(*runs(folder, workdir))) == TOTAL_STEPS
    (run,) = runs(folder, workdir)
    assert 0 < max(saved_steps(run)) < TOTAL_STEPS
    finish(start(folder, workdir, "--resume", minutes=10))
    assert_same_end(folder, workdir, like)


@pytest.mark.slow
def test_a_run_that_ignores_its_closed_terminal_goes_on_to_its_end(folder, uninterrupted, like):
    """As after `disown`; every line that it writes from then on would be an error."""
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    assert close_terminal(folder, "disowned", ignore + ON_TERMINAL) == 0
    assert_same_end(folder, "disowned", like)


def close_terminal(folder, workdir, program):
    """Trains on a terminal that is closed after the first evaluation; returns the exit status."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    arguments = ["train", str(folder / "long.py"), "--workdir", str(folder / workdir)]
    command = [sys.executable, "-c", program, *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    deadline = time.monotonic() + 240
    try:
        while not any("evaluation" in p.read_text() for p in (folder / workdir).glob("*.jsonl")):
            with contextlib.suppress(BlockingIOError):
                os.read(ours, 65536)  # or the process would wait for a reader
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.close(ours)
        return process.wait(timeout=120)
    finally:
        process.kill()


@pytest.mark.slow
def test_a_signal_during_compilation_is_obeyed_too(folder):
    process = start(folder, "early")
    try:
        time.sleep(0.1)
        deadline = time.monotonic() + 120
        while not runs(folder, "early"):  # the folder is made before anything compiles
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 143, output
    (run,) = runs(folder, "early")
    assert len(saved_steps(run)) == 1 and saved_steps(run)[0] < TOTAL_STEPS


@pytest.mark.slow
def test_two_processes_cannot_train_the_same_run(folder):
    first = start(folder, "both")
    try:
        wait_for_step(first, folder, "both", -1)
        first.send_signal(signal.SIGSTOP)  # so that it does not finish before the second starts
        second = start(folder, "both", "--resume")
        output, _ = second.communicate(timeout=120)
        assert second.returncode == 2
        assert f"process {first.pid} writes" in " ".join(output.split())
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()


# The tests from here on train a smaller run in this process.

SMALL = """
import jaxsched as js
from jaxsched.data import Augment, Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="small",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32),
    ),
    phases=(js.Phase(4, 16),),
    optimizer=js.SGD(0.05, momentum=0.9, abel=js.Abel(0.5, last_decay=3)),
    num_devices=1,
)
"""


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small.py").write_text(SMALL)

    def command(*arguments):
        main(["train", str(tmp_path / "small.py"), "--workdir", str(tmp_path), *arguments])

    return command


def refused(command, *arguments, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        command(*arguments)
    assert exit_.value.code == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_longer_run_goes_on_from_before_the_last_decay(small, tmp_path, capsys):
    small()
    (first,) = tmp_path.glob("small-*.jsonl")
    kept = first.with_suffix("") / "before_last_decay"
    longer = ("--phases.0.epochs", "7", "--optimizer.abel.last-decay", "6")
    small(*longer, "--start-from", str(kept))
    (second,) = (path for path in tmp_path.glob("small-*.jsonl") if path != first)
    before, after = (
        [json.loads(line) for line in path.read_text().splitlines()] for path in (first, second)
    )
    for line in (*before, *after):
        line.pop("crc32")  # over the lines before, too, which are other headers
    assert after[0]["resumed_at"] == 12
    # Epochs 1 to 3 are those of the first run; after them nothing decays until epoch 6.
    assert after[1:4] == before[1:4]
    assert [row["learning_rate"] for row in before[1:5]] == pytest.approx([0.05] * 3 + [0.025])
    assert [row["learning_rate"] for row in after[1:8]] == pytest.approx([0.05] * 6 + [0.025])

    other_batch = ("--phases.0.batch-size", "32", "--start-from", str(kept))
    message = refused(small, *other_batch, capsys=capsys)
    assert "made after 12 updates and 192 examples" in message
    assert "needs 384 examples of 64 for those" in message
    wider = ("--model.width", "4", "--start-from", str(kept))
    assert "arrays of another network" in refused(small, *wider, capsys=capsys)
    nowhere = ("--seed", "3", "--start-from", str(tmp_path / "nowhere"))
    assert "got none; give one such as" in refused(small, *nowhere, capsys=capsys)


@pytest.mark.slow
def test_a_run_that_saved_nothing_starts_anew_and_names_the_nearest_one(small, tmp_path, capsys):
    small("--resume")  # as a job that is put back in the queue before it has saved anything
    (record,) = tmp_path.glob("small-*.jsonl")
    said = " ".join(capsys.readouterr().out.split())
    assert f"nothing of this very run is saved in {record.with_suffix('')}, so it starts" in said
    assert "nearest run" not in said
    # A record that is torn, or none at all, is no run to advise.
    (tmp_path / "small-torn-seed0.jsonl").write_text('{"kind": "run", "conf')
    (tmp_path / "small-torn-seed0").mkdir()
    (tmp_path / "small-other-seed0.jsonl").write_text("[]\n")
    small("--optimizer.lr.value", "0.2", "--resume")
    said = " ".join(capsys.readouterr().out.split())
    change = "optimizer.lr.value: 0.05 -> 0.2"
    assert f"nearest run, {record.stem}, differs in: {change}. To go on from it" in said
    # Without its record a run still has its checkpoints, which are not overwritten.
    record.unlink()
    assert "go on from them with --resume, or set them aside" in refused(small, capsys=capsys)
    small("--resume")
    assert json.loads(record.read_text().splitlines()[-1])["status"] == "finished"


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_data_only(small, tmp_path, capsys):
    small()
    (record,) = tmp_path.glob("small-*.jsonl")
    record.unlink()
    for path in record.with_suffix("").glob("*/content/metadata"):
        content = json.loads(path.read_text())["record"]
        content["content"]["data"]["train"]["examples"] += 1
        path.write_text(json.dumps(with_checksum(content)))
    message = refused(small, "--resume", capsys=capsys)
    assert f"{record.with_suffix('')} was made with other data: train.examples: 65 -> 64" in message
    # A checkpoint from before data were recorded goes on; that is said.
    for path in record.with_suffix("").glob("*/content/metadata"):
        content = json.loads(path.read_text())["record"]
        del content["content"]["data"]
        path.write_text(json.dumps(with_checksum(content)))
    small("--resume")
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("was saved before runs recorded their data") == 1
