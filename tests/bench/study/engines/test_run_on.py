"""What a study's runs do as tasks, on an engine that makes them in this process."""

import io
import os
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from jaxsched.bench import load_study, study_records
from jaxsched.bench.study.engines.engine import Ended
from jaxsched.bench.study.engines.on_ray import resources
from jaxsched.bench.study.engines.on_slurm import OnSlurm
from jaxsched.bench.study.engines.run_on import run_on
from jaxsched.bench.study.engines.task import RunTask, SharedStudy
from jaxsched.cli import main
from jaxsched.tracking import Progress, record_path
from jaxsched.train import Preempted, SignalHandler

STUDY = """
import dataclasses
import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Augment, Synthetic
from jaxsched.models import ResNet
from jaxsched.schedules.base import Schedule, schedule
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

@schedule
class Broken(Schedule):
    def __call__(self, t):
        raise RuntimeError("no formula")

fine = Experiment(
    name="fine",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32, num_classes=4),
        augment=Augment(pad=0, flip=False),
    ),
    phases=(js.Phase(epochs=2, batch_size=16),),
    optimizer=js.SGD(0.05),
    num_devices=1,
)
broken = dataclasses.replace(fine, name="broken", optimizer=js.SGD(Broken()))
study = Study(name="small", experiments=(broken, fine), seeds=(0, 1), target=0.5)
"""


class InTurn:
    """Makes tasks one after another; before each, what `before` does may happen to the node."""

    def __init__(self, before=lambda task: None):
        self._before, self.is_closed = before, False

    def make(self, tasks, say):
        try:
            for task in tasks:
                yield None
                self._before(task)
                try:
                    yield Ended(task, said=task())
                except Exception as error:
                    yield Ended(task, error=str(error))
        finally:
            self.is_closed = True


@pytest.fixture
def shared(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", list(sys.argv))  # which a task sets
    monkeypatch.chdir(tmp_path)  # and this too
    file = tmp_path / "small.py"
    file.write_text(STUDY)
    return SharedStudy(
        file=file, size=None, folder=tmp_path / "small", start=tmp_path, every_seconds=600.0,
        log=(), command=("jaxsched", "bench"),
    )  # fmt: skip


def made(shared, engine, signals=None):
    """Makes the study; returns how many runs have no result, and what was said."""
    said = io.StringIO()
    shared.records.mkdir(parents=True, exist_ok=True)
    with Progress(Console(file=said, width=200)) as progress:
        lost = run_on(
            engine, load_study(shared.file), shared, progress=progress,
            signals=signals or SignalHandler(),
        )  # fmt: skip
        assert progress.fraction == 1
    assert not (shared.folder / shared.token).exists()
    return lost, said.getvalue()


def test_runs_that_fail_and_records_that_cannot_be_read_leave_the_others_be(shared):
    study = load_study(shared.file)
    damaged = record_path(shared.records, study.experiments[1], 1)
    shared.records.mkdir(parents=True)
    damaged.write_text("{}\n")
    lost, said = made(shared, InTurn(lambda task: os.chdir("/")))
    assert Path.cwd() == shared.start  # where the file's relative paths start
    assert lost == 0 and damaged.read_text() == "{}\n"
    assert f"{damaged}, line 1: expected a record's line" in said
    assert "4 runs: 1 that cannot be read, 3 to start; 384 examples to train on" in said
    assert "Traceback" in said and "broken, seed 1: failed, RuntimeError: no formula" in said
    records = study_records(study, shared.records)
    assert [(record.name, record.status) for record in records] == [
        ("broken", "failed"), ("broken", "failed"), ("fine", "finished")
    ]  # fmt: skip
    assert {record.header["command"] for record in records} == {"jaxsched bench"}
    lost, said = made(shared, InTurn())
    again = "4 runs: 1 finished, 1 that cannot be read, 2 to repeat after a failure; 256 examples"
    assert lost == 0 and again in said


def test_a_node_with_another_file_makes_no_run_and_the_others_go_on(shared):
    def before(task):
        changed = STUDY.replace("0.05", "0.06") if task.run.seed == 0 else STUDY
        shared.file.write_text(changed)

    lost, said = made(shared, InTurn(before))
    assert lost == 1
    assert f"fine, seed 0: expected {shared.file} as it was when the command started" in said
    records = study_records(load_study(shared.file), shared.records)
    assert [(record.name, record.header["seed"]) for record in records] == [
        ("broken", 0), ("broken", 1), ("fine", 1)
    ]  # fmt: skip


def test_a_node_that_does_not_see_the_folder_is_refused(shared):
    run = load_study(shared.file).manifest().runs[0]
    with pytest.raises(ValueError, match=r"without the files in .*small; give --workdir a"):
        RunTask(shared, run, 1)()
    assert not shared.folder.exists()


def test_a_signal_ends_the_tasks(shared):
    engine, signals = InTurn(), SignalHandler()
    signals.received = signal.SIGTERM
    with pytest.raises(Preempted, match="stopped by SIGTERM with 4 runs left"):
        made(shared, engine, signals)
    assert engine.is_closed and list(shared.folder.iterdir()) == [shared.records]
    assert not list(shared.records.iterdir())


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_names_its_extra(
    shared, tmp_path, monkeypatch, capsys, name, module
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as end:
        main(["bench", str(shared.file), "--on", name, "--workdir", str(tmp_path / "runs")])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"error: --on {name} needs {module}, which the extra [{name}] brings: "
        f"pip install 'jaxsched[{name}]'\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_host_without_slurm_is_refused(monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="got a host without sbatch; give the command on a host"):
        OnSlurm()


def test_a_run_on_ray_asks_for_the_accelerators_that_there_are():
    pod = [{"CPU": 100.0, "TPU": 4.0, "TPU-v5litepod-16-head": 1.0}, {"CPU": 100.0, "TPU": 4.0}]
    assert resources(pod, 1) == {"resources": {"TPU": 1}}
    assert resources(pod, None) == {"resources": {"TPU": 4.0}}
    head = {"CPU": 0.0}  # where no task is to run
    assert resources([head, {"CPU": 16.0}, {"CPU": 8.0}], 4) == {"num_cpus": 8.0}
    assert resources([head], None) == {"num_cpus": 1}
