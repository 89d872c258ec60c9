"""The queue of a study: runs killed, stopped, damaged, and resumed by the same command."""

import contextlib
import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from rich.console import Console

import jaxsched as js
from jaxsched.bench import Results, Study, load_study, run_study, study_records
from jaxsched.bench.study.queue import Job, Queue
from jaxsched.cli import main
from jaxsched.data import ImageDataset, Images, Source
from jaxsched.tracking import (
    Progress,
    RecordWriter,
    RunProgress,
    load,
    read_record,
    record_path,
)
from jaxsched.train import Preempted, SignalHandler, saved_steps

STUDY = """
import dataclasses, jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Augment, Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

cosine = Experiment(
    name="cosine",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32, num_classes=4),
        augment=Augment(pad=0, flip=False),
    ),
    phases=(js.Phase(epochs=300, batch_size=16),),
    optimizer=js.SGD(js.Cosine(0.05, duration="100%"), momentum=0.9),
    num_devices=1,
)
study = Study(name="long", experiments=(cosine,), seeds=(3,), target=0.5)
"""
TOTAL_STEPS = 1200


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    file = tmp_path_factory.mktemp("study") / "long.py"
    file.write_text(STUDY)
    return file


def run(file, folder, **options):
    """Runs the study in this process; returns the output."""
    return made(load_study(file), folder, **options)


def made(study, folder, **options):
    said = io.StringIO()
    with Progress(Console(file=said)) as progress:
        run_study(study, folder, source_text="", progress=progress, **options)
        assert progress.fraction == 1
    return said.getvalue()


def start(file, workdir, *arguments):
    """Starts a process that reacts to Ctrl-C even if the test run is in the background."""
    react = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", react + "from jaxsched.cli import main; main()", "bench"]
    return subprocess.Popen(
        [*command, str(file), "--workdir", str(workdir), *arguments],
        env=os.environ | {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(process, condition):
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def num_lines(path):
    return path.read_text().count("\n")


def entries(path):
    """The record without what differs between runs: times, memory and where it was resumed."""
    times = ("train_seconds", "evaluation_seconds", "images_per_second", "peak_memory")
    header, *rows = (json.loads(line) for line in path.read_text().splitlines())
    differ = {*times, "compilations", "crc32"}
    kept = {name: header[name] for name in ("name", "seed", "digest", "total_steps")}
    return [kept, *({k: v for k, v in row.items() if k not in differ} for row in rows)]


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    """The record of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    run(file, folder)
    (record,) = folder.iterdir()  # and no checkpoints
    return entries(record)


@pytest.fixture(scope="module")
def stopped(file, tmp_path_factory):
    """The folder of a run that was killed, resumed, and stopped by a signal."""
    workdir = tmp_path_factory.mktemp("stopped")
    (study,) = [load_study(file)]
    path = record_path(workdir / "long" / "records", study.experiments[0], 3)

    def newest():
        return max(saved_steps(path.with_suffix("")), default=-1)

    process = start(file, workdir, "--checkpoint-minutes", "0")
    try:
        wait_for(process, lambda: newest() > 40)
        process.kill()
        process.communicate()
        killed_at = newest()
        assert 40 < killed_at < TOTAL_STEPS
        path.unlink()  # so that the next record is the second process's
        process = start(file, workdir)
        wait_for(process, lambda: path.exists() and num_lines(path) > killed_at // 4 + 20)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 143, output
    assert f"stopped by SIGTERM and saved at update {newest()}; the same command goes" in output
    assert "Traceback" not in output
    assert killed_at < newest() < TOTAL_STEPS
    assert json.loads(path.read_text().split("\n")[0])["resumed_at"] == killed_at
    return path.parent


@pytest.mark.slow
def test_a_run_that_was_killed_and_stopped_resumes_to_the_same_record(file, stopped, whole):
    folder = stopped.with_name("resumed")
    shutil.copytree(stopped, folder)
    (checkpoints,) = (path for path in folder.iterdir() if path.is_dir())
    step = max(saved_steps(checkpoints))
    said = run(file, folder)
    left = f"{16 * (TOTAL_STEPS - step):,} examples to train on"
    assert f"1 run: 1 to resume at update {step:,}; {left}" in said
    (record,) = folder.glob("*.jsonl")
    assert entries(record) == whole
    assert len(whole) == 302 and whole[-1]["status"] == "finished"
    assert json.loads(record.read_text().split("\n")[0])["resumed_at"] == step
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


@pytest.mark.slow
def test_a_run_whose_checkpoints_are_all_damaged_starts_anew(file, stopped, whole):
    folder = stopped.with_name("damaged")
    shutil.copytree(stopped, folder)
    (checkpoints,) = (path for path in folder.iterdir() if path.is_dir())
    for step in saved_steps(checkpoints):
        shutil.rmtree(checkpoints / str(step) / "arrays")
    said = run(file, folder)
    assert "expected a sound checkpoint, got only damaged ones" in said
    assert f"cosine, seed 3 starts anew, they are now in {checkpoints}.damaged" in said
    (record,) = folder.glob("*.jsonl")
    assert entries(record) == whole
    assert json.loads(record.read_text().split("\n")[0])["resumed_at"] is None


def test_a_signal_before_a_run_ends_the_study_there(file, tmp_path):
    signals = SignalHandler()
    signals.received = signal.SIGINT
    with pytest.raises(Preempted, match="stopped by SIGINT between two runs"):
        run(file, tmp_path, signals=signals)
    assert list(tmp_path.iterdir()) == []


FAILING = """
import dataclasses, pathlib
import jax, jax.numpy as jnp, numpy as np
import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Augment, Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.schedules.base import Schedule, schedule
from jaxsched.experiment import Experiment

fine = Experiment(
    name="fine",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32, num_classes=4),
        augment=Augment(pad=0, flip=False),
    ),
    phases=(js.Phase(epochs=3, batch_size=16),),
    optimizer=js.SGD(0.05),
    num_devices=1,
)

@schedule
class Broken(Schedule):
    def __call__(self, t):
        raise RuntimeError("no formula\\nfor this")

@schedule
class Dying(Schedule):
    def __call__(self, t):
        def value(t):
            if np.any(t >= 2) and pathlib.Path(MARKER).exists():
                raise RuntimeError("struck by lightning")
            return np.full(np.shape(t), 0.05, np.float32)

        return jax.pure_callback(value, jax.ShapeDtypeStruct(jnp.shape(t), jnp.float32), t)

broken = dataclasses.replace(fine, name="broken", optimizer=js.SGD(Broken()))
dying = dataclasses.replace(fine, name="dying", optimizer=js.SGD(Dying()))
study = Study(name="failing", experiments=(broken, dying, fine), seeds=(0,), target=1.0)
"""


@pytest.mark.slow
def test_a_run_that_dies_is_a_miss_with_its_reason_and_is_tried_again(tmp_path, capsys):
    marker, file = tmp_path / "marker", tmp_path / "failing.py"
    marker.touch()
    file.write_text(f"MARKER = {str(marker)!r}\n{FAILING}")
    folder = tmp_path / "failing" / "records"

    def command():
        arguments = ["bench", str(file), "--workdir", str(tmp_path), "--checkpoint-minutes", "0"]
        with pytest.raises(SystemExit) as end:
            main(arguments)
        records = {record.name: record for record in study_records(load_study(file), folder)}
        return end.value.code, records, capsys.readouterr().out

    code, records, said = command()
    assert code == 1 and "2 of 3 runs failed; the same command tries them again" in said
    assert "3 runs: 3 to start; 576 examples to train on" in said
    assert "broken cannot be plotted: RuntimeError: no formula" in said
    assert "Traceback" in said and "struck by lightning" in said
    assert {name: record.status for name, record in records.items()} == {
        "broken": "failed", "dying": "failed", "fine": "finished"
    }  # fmt: skip
    broken, dying = records["broken"], records["dying"]
    assert broken.end["reason"] == "RuntimeError: no formula"
    assert broken.header["compile_seconds"] is None and broken.header["seed"] == 0
    assert [row["step"] for row in dying.evaluations] == [4, 8]
    assert "Error: " in dying.end["reason"]
    results = Results.of(load_study(file).manifest(), list(records.values()))
    assert [(s.name, s.failed, s.reached) for s in results.summaries] == [
        ("broken", 1, 0), ("dying", 1, 0), ("fine", 0, 0)
    ]  # fmt: skip
    assert "broken, seed 0: RuntimeError: no formula; it counts as a miss." in results.caveats
    assert "| 0/1, 1 failed |" in (folder.parent / "summary.md").read_text()

    fine = record_path(folder, load_study(file).experiments[2], 0).read_bytes()
    marker.unlink()
    code, records, said = command()
    assert code == 1 and "1 of 3 runs failed" in said
    again = "1 to resume at update 8, 1 to repeat after a failure; 256 examples to train on"
    assert f"3 runs: 1 finished, {again}" in said
    assert [records[name].status for name in ("broken", "dying")] == ["failed", "finished"]
    assert records["dying"].header["resumed_at"] == 8
    assert [row["step"] for row in records["dying"].evaluations] == [4, 8, 12]
    assert record_path(folder, load_study(file).experiments[2], 0).read_bytes() == fine


def test_missing_devices_raise_before_anything_runs(file, tmp_path):
    (long,) = load_study(file).experiments
    study = Study(
        name="wide",
        experiments=(long, dataclasses.replace(long, name="wide", num_devices=5)),
        seeds=(0,),
        target=0.5,
    )
    with (
        Progress(Console(quiet=True)) as progress,
        pytest.raises(ValueError, match="num_devices must be within 1 … 4"),
    ):
        run_study(study, tmp_path, source_text="", progress=progress)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def short(file):
    """A study of three short runs."""
    (long,) = load_study(file).experiments
    experiment = dataclasses.replace(long, name="short", phases=(js.Phase(2, 16),))
    return Study(name="short", experiments=(experiment,), seeds=(0, 1, 2), target=0.5)


HOLD = """
import sys, time
from filelock import FileLock

lock = FileLock(sys.argv[1])
lock.acquire(blocking=False)
print("held", flush=True)
time.sleep(300)
"""


def test_a_run_in_progress_elsewhere_is_left_alone_until_its_process_ends(short, tmp_path):
    first, *others = (record_path(tmp_path, short.experiments[0], seed) for seed in short.seeds)
    command = [sys.executable, "-c", HOLD, str(tmp_path / f".{first.stem}.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            said = made(short, tmp_path)
            assert "3 runs: 1 in progress elsewhere, 2 to start; 256 examples to train on" in said
            assert not first.exists() and all(read_record(path).is_complete for path in others)
        finally:
            process.kill()
    assert "3 runs: 2 finished, 1 to start; 128 examples" in made(short, tmp_path)
    # And no lock is left.
    assert sorted(tmp_path.iterdir()) == sorted([first, *others])
    assert read_record(first).is_complete


def test_a_failed_run_is_repeated_once_by_all_processes_together(short, tmp_path, lines):
    (experiment,) = short.experiments
    path = record_path(tmp_path, experiment, 0)
    job = Job(experiment, 0, experiment.plan(64), path)
    made = []
    before = Queue([job])
    with RecordWriter(path, lines.header()) as writer:
        writer.fail(RuntimeError())
    before.drain(made.append)
    assert made == []  # another process has tried it since this one began
    later = Queue([job])
    later.drain(made.append)
    assert made == [job]


@dataclasses.dataclass(frozen=True)
class FromFile(Source):
    """Images and labels in a file, which may change between two commands."""

    path: str

    def load(self):
        with np.load(self.path) as found:
            images = Images(found["images"], found["labels"])
        return ImageDataset("file", images, images, "test", tuple("abcd"), (0.5,), (0.25,))


@pytest.mark.slow
def test_changed_data_are_refused_and_named(short, tmp_path):
    draw, file, folder = np.random.default_rng(0), tmp_path / "data.npz", tmp_path / "records"
    images = draw.integers(0, 256, (64, 8, 8, 1), np.uint8)
    labels = draw.integers(0, 4, 64).astype(np.int32)
    experiment = short.experiments[0].with_task(data=FromFile(str(file)))

    def run_with(images, labels, seeds):
        np.savez(file, images=images, labels=labels)
        load.cache_clear()  # as in another process
        study = dataclasses.replace(short, experiments=(experiment,), seeds=seeds)
        return made(study, folder)

    run_with(images, labels, (0, 1))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"seed0\.jsonl was made with other data: .*64 -> 63"):
        run_with(images[1:], labels[1:], (0, 1, 2, 3))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    run_with(images, labels, (0, 1, 2))
    assert len(list(folder.iterdir())) == 3


def test_a_record_that_cannot_be_read_is_kept_and_the_others_are_run(short, tmp_path):
    damaged, *others = (record_path(tmp_path, short.experiments[0], seed) for seed in short.seeds)
    damaged.write_text("{}\n")
    said = made(short, tmp_path)
    assert f"{damaged}, line 1: expected a record's line" in said
    assert "3 runs: 1 that cannot be read, 2 to start" in said
    assert damaged.read_text() == "{}\n" and all(read_record(path).is_complete for path in others)


@pytest.mark.slow
def test_two_processes_in_one_folder_run_each_run_once(file, tmp_path):
    four = tmp_path / "four.py"
    four.write_text(file.read_text().replace("seeds=(3,)", "seeds=(0, 1, 2, 3)"))
    folder = tmp_path / "long" / "records"
    # Told apart by an argument, which is in their records.
    processes = [start(four, tmp_path, "--checkpoint-minutes", minutes) for minutes in ("11", "12")]
    headers, deadline = set(), time.monotonic() + 240
    try:
        while any(process.poll() is None for process in processes):
            assert time.monotonic() < deadline
            for path in folder.glob("*.jsonl"):
                with contextlib.suppress(FileNotFoundError):
                    header, newline, _ = path.read_text().partition("\n")
                    headers |= {header} if newline else set()
            time.sleep(0.02)
    finally:
        for process in processes:
            process.kill()
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found = [json.loads(header) for header in headers]
    assert sorted(header["seed"] for header in found) == [0, 1, 2, 3]
    assert len({header["command"] for header in found}) == 2
    assert all(read_record(path).is_complete for path in folder.iterdir())
    assert len(json.loads((tmp_path / "long" / "summary.json").read_text())["rows"]) == 1


def test_the_time_left_is_estimated_from_the_pace_so_far():
    """Ten runs of an hour each at ten examples a second; each first compiles for ten minutes."""
    now = [0.0]
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, color_system=None, get_time=lambda: now[0])
    with Progress(console) as progress:
        progress.start(360_000)
        for number in range(5):
            now[0] += 600
            run = progress.run(f"run {number}")
            for minute in range(1, 61):
                now[0] += 60
                run.done(600 * minute)
            run.end(36_000, "")
    assert progress.fraction == 0.5
    # Five more, of 70 minutes each, but for the compilation before the first pace was known.
    *_, (hours, minutes) = re.findall(r"ETA (\d+):(\d+):", said.getvalue())
    assert 60 * int(hours) + int(minutes) == pytest.approx(5 * 70, abs=15)


class Meeting(Progress):
    """Holds each of two runs at its second evaluation until the other has reached its own."""

    def __init__(self, barrier):
        super().__init__(Console(quiet=True))
        self._barrier, self.devices = barrier, set()

    def run(self, label, metric, *, begun=0):
        return Waiting(self, label, metric, begun)

    def meet(self):
        self.devices |= set().union(*(array.devices() for array in jax.live_arrays()))
        self._barrier.wait(timeout=120)


class Waiting(RunProgress):
    def evaluation(self, row):
        super().evaluation(row)
        if row.step == 8:
            self._progress.meet()


@pytest.mark.slow
def test_runs_at_the_same_time_use_one_device_each(short, tmp_path):
    (experiment,) = short.experiments
    experiment = dataclasses.replace(experiment, phases=(js.Phase(6, 16),))
    two = dataclasses.replace(short, experiments=(experiment,), seeds=(0, 1))
    made(two, tmp_path / "in turn")
    signals, folder = SignalHandler(), tmp_path / "at once"

    def stop():
        signals.received = signal.SIGTERM

    with (
        Meeting(threading.Barrier(2, action=stop)) as progress,
        pytest.raises(Preempted, match="stopped by SIGTERM and saved at update 8"),
    ):
        run_study(two, folder, source_text="", progress=progress, signals=signals, at_once=2)
    assert progress.devices >= set(jax.local_devices()[:2])
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 2
    said = made(two, folder, at_once=2)
    assert "2 runs: 2 to resume; 512 examples to train on" in said
    for path in (tmp_path / "in turn").iterdir():
        assert entries(folder / path.name) == entries(path)
        assert read_record(folder / path.name).header["at_once"] == {"way": "devices", "size": 2}
    assert len(list(folder.iterdir())) == 2
    results = Results.of(two.manifest(), study_records(two, folder))
    assert any("Up to 2 runs were trained at the same time" in said for said in results.caveats)
    alone = Results.of(two.manifest(), study_records(two, tmp_path / "in turn"))
    assert not any("at the same time" in said for said in alone.caveats)


@pytest.mark.parametrize(
    ("num_devices", "at_once", "message"),
    [
        (1, 5, "at_once must be within 1 … 4, the local devices, got at_once=5"),
        (1, "vmap", "seconds of its runs, which runs on one device would share"),
        (2, "devices", "at_once=4 needs experiments of one device each"),
        (2, 2, "needs experiments of one device each, got short, seed 0; give it num_devices=1"),
    ],
)
def test_at_once_that_does_not_suit_the_devices_is_refused(
    short, tmp_path, num_devices, at_once, message
):
    experiments = (dataclasses.replace(short.experiments[0], num_devices=num_devices),)
    with pytest.raises(ValueError, match=message):
        made(dataclasses.replace(short, experiments=experiments), tmp_path, at_once=at_once)
    assert list(tmp_path.iterdir()) == []
