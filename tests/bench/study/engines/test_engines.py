"""Studies on a real Ray cluster, of which parts are killed, and on submitit's own executor."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from jaxsched.bench import Results, load_study, run_study, study_records
from jaxsched.bench.study.engines.on_slurm import OnSlurm
from jaxsched.bench.study.engines.run_on import run_on
from jaxsched.bench.study.engines.task import SharedStudy
from jaxsched.tracking import Progress
from jaxsched.train import SignalHandler, saved_steps

STUDY = """
import jaxsched as js
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
    phases=(js.Phase(epochs=40, batch_size=16),),
    optimizer=js.SGD(js.Cosine(0.05, duration="100%"), momentum=0.9),
    num_devices=1,
)
study = Study(name="spread", experiments=(cosine,), seeds=(0, 1, 2), target=0.5)
"""


def needs(module):
    is_missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(is_missing, reason=f"needs {module}, which [test] does not bring")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "spread.py"
    path.write_text(STUDY)
    return path


def headers(file, folder):
    return [record.header for record in study_records(load_study(file), folder / "records")]


def result(file, folder):
    """The table and the records without what differs between runs: times, memory, compilations."""
    differ = {
        "train_seconds", "evaluation_seconds", "images_per_second", "peak_memory", "compilations",
        "seconds", "seconds_interval",
    }  # fmt: skip
    records = study_records(load_study(file), folder / "records")
    summaries = Results.of(load_study(file).manifest(), records).summaries
    lines = [*map(dataclasses.asdict, summaries)]
    for record in records:
        lines += [{"seed": record.header["seed"]}, *record.evaluations, record.end]
    return [{key: value for key, value in line.items() if key not in differ} for line in lines]


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    """The result of one process."""
    folder = tmp_path_factory.mktemp("whole")
    with Progress(Console(quiet=True)) as progress:
        run_study(load_study(file), folder / "records", source_text=STUDY, progress=progress)
    found = result(file, folder)
    assert len(found) == 1 + 3 * (1 + 40 + 1) and found[0]["seeds"] == 3
    return found


@contextlib.contextmanager
def started(file, workdir, address, *arguments, minutes=0):
    """A command that reacts to Ctrl-C even if the test run is in the background."""
    react = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", react + "from jaxsched.cli import main; main()", "bench"]
    options = f"--workdir {workdir} --checkpoint-minutes {minutes}".split()
    process = subprocess.Popen(
        [*command, str(file), *options, *arguments],
        env=os.environ | {"RAY_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()


def wait_for(process, found):
    deadline = time.monotonic() + 500
    while not (answer := found()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def makers(workdir):
    """The processes that make runs of which something is saved."""
    found = set()
    for path in (workdir / "spread" / "records").glob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            if saved_steps(path.with_suffix("")):
                found.add(int(path.with_name(f".{path.stem}.holder").read_text().split()[0]))
    return found


def parent(process):
    return subprocess.check_output(["ps", "-o", "ppid=", "-p", str(process)], text=True).strip()


class OutOfTime:
    """submitit on this host, as if the time of a run that has saved something were up."""

    def __init__(self, workdir):
        self._workdir, self.is_done = workdir, False

    def make(self, tasks, say):
        for ended in OnSlurm("local").make(tasks, say):
            if not self.is_done and (processes := makers(self._workdir)):
                os.kill(processes.pop(), signal.SIGUSR2)
                self.is_done = True
            yield ended


@needs("submitit")
@pytest.mark.slow
def test_submitit_makes_the_same_records_though_the_time_of_a_run_is_up(file, whole, tmp_path):
    said, engine, folder = io.StringIO(), OutOfTime(tmp_path), tmp_path / "spread"
    shared = SharedStudy(
        file=file, size=None, folder=folder, start=tmp_path, every_seconds=0.0,
        log=("tensorboard",), command=("jaxsched", "bench", "spread.py", "--on", "slurm"),
    )  # fmt: skip
    shared.records.mkdir(parents=True)
    with Progress(Console(file=said)) as progress:
        lost = run_on(engine, load_study(file), shared, progress=progress, signals=SignalHandler())
        assert progress.fraction == 1
    assert lost == 0 and engine.is_done, said.getvalue()
    assert "3 runs: 3 to start; 7,680 examples to train on" in said.getvalue()
    assert result(file, folder) == whole
    assert {header["command"] for header in headers(file, folder)} == {
        "jaxsched bench spread.py --on slurm"
    }
    assert [header["resumed_at"] for header in headers(file, folder)].count(None) == 2
    assert len(list((folder / "logs").glob("cosine/*/events*"))) >= 3
    assert not list(folder.glob(".shared*"))


# In a process of its own, because Ray forks and JAX has threads.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
node = cluster.add_node(num_cpus=1)
print("ready:", cluster.address, node.all_processes["raylet"][0].process.pid, flush=True)
sys.stdin.readline()
cluster.remove_node(node, allow_graceful=False)
cluster.add_node(num_cpus=1)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def cluster():
    """A Ray cluster of two nodes with a core each; a line to it kills one and adds another."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env=os.environ | {"RAY_worker_niceness": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        ready = next(line for line in process.stdout if "ready:" in line)
        _, process.address, process.second_node = ready.split()
        yield process


@needs("ray")
@pytest.mark.slow
def test_ray_makes_the_same_records_after_a_worker_and_a_node_are_lost(
    file, whole, cluster, tmp_path
):
    with started(file, tmp_path, cluster.address, "--on", "ray") as command:
        both = wait_for(command, lambda: len(found := makers(tmp_path)) == 2 and found)
        (on_head,) = (process for process in both if parent(process) != cluster.second_node)
        os.kill(on_head, signal.SIGKILL)
        cluster.stdin.write("kill the second node\n")
        cluster.stdin.flush()
        output, _ = command.communicate(timeout=500)
    assert command.returncode == 0, output
    assert "3 runs: 3 to start; 7,680 examples to train on" in output
    assert "2 nodes" in output and "table, plots and records in" in output
    folder = tmp_path / "spread"
    assert result(file, folder) == whole
    resumed = [header["resumed_at"] for header in headers(file, folder)]
    assert sum(step is not None for step in resumed) >= 2, resumed
    assert json.loads((folder / "summary.json").read_text())["rows"]


@needs("ray")
@pytest.mark.slow
def test_ctrl_c_saves_the_runs_on_ray_and_the_same_command_goes_on(file, whole, cluster, tmp_path):
    with started(file, tmp_path, cluster.address, "--on", "ray") as command:
        wait_for(command, lambda: makers(tmp_path))
        command.send_signal(signal.SIGINT)
        output, _ = command.communicate(timeout=300)
    assert command.returncode == 130, output
    assert "stopped by SIGINT with 3 runs left; the same command goes on from there" in output
    assert "Traceback" not in output
    assert not list((tmp_path / "spread" / "records").glob(".*"))  # all claims are given back
    with started(file, tmp_path, "", minutes=10) as command:  # here, without Ray
        output, _ = command.communicate(timeout=500)
    assert command.returncode == 0, output
    assert "to resume" in output
    assert result(file, tmp_path / "spread") == whole
