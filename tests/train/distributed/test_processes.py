"""Several real processes that train together over loopback, compared with a single process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from jaxsched.train.checkpointing.checkpoints import restore_named
from jaxsched.train.checkpointing.orbax_io import saved_steps
from jaxsched.train.step.state import init_state
from jaxsched.train.step.update_sums import UpdateSums

# Every transformation with state, and a change of batch size. The learning rate is so small that
# another order of additions does not grow into another run.
CONFIG = """
import jaxsched as js
from jaxsched.data import Augment, Streamed, Subset, Digits
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="shared",
    task=ImageClassification(ResNet(stages=(1,), width=4), {data}, Augment(1, False)),
    phases=(js.Phase(1.5, 16), js.Phase(1.5, 32)),
    optimizer=js.SGD(
        lr=js.Cosine(0.01, duration=3),
        momentum=0.9,
        weight_decay=5e-3,
        abel=js.Abel(0.5, last_decay=2),
        plateau=js.Plateau(patience=2, factor=0.9),
        averaging=js.Averaging(start=2, statistics_examples=100),
    ),
    driver={driver!r},
    num_devices={devices},
)
"""
ON_DEVICE = "Subset(Digits(), num_train=200)"
STREAMED = "Streamed(Subset(Digits(), num_train=200))"
STEPS = 29


def write_config(folder, name, data, driver="jit", devices=2):
    (folder / f"{name}.py").write_text(CONFIG.format(data=data, driver=driver, devices=devices))
    return folder / f"{name}.py"


def start(config, workdir, *arguments, file_size=-1, devices=2):
    """Starts a process with virtual devices that trains; its files may have so many bytes."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({file_size}, {file_size})); "
        "from jaxsched.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "train", str(config)]
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_COMPILATION_CACHE_DIR": str(config.parent / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        [*command, "--workdir", str(workdir), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_all(configs, workdir, *arguments, **limits):
    """Starts a process for each config, all of one run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = ["--coordinator", f"127.0.0.1:{port}", "--processes", str(len(configs)), *arguments]
    return [
        start(config, workdir, *together, "--process-id", str(i), **limits)
        for i, config in enumerate(configs)
    ]


def start_two(config, workdir, *arguments, **limits):
    return start_all([config, config], workdir, *arguments, **limits)


def outputs(processes, code=0):
    """Returns the printed text of each process; checks that all of them end with this code."""
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), printed
    return printed


def rows(workdir):
    """The record's evaluations without the times and the checksums."""
    (record,) = workdir.glob("shared-*.jsonl")
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    for entry in entries:
        entry.pop("train_seconds", None)
        entry.pop("evaluation_seconds", None)
        entry.pop("crc32")  # over the times, too
    assert entries[-1]["kind"] == "end" and entries[-1]["status"] == "finished"
    return entries[1:-1]


def last_state(workdir):
    namespace = {}
    exec(CONFIG.format(data=ON_DEVICE, driver="jit", devices=1), namespace)
    experiment = namespace["experiment"]
    plan = experiment.plan(200)
    task = experiment.task.build(experiment.task.data.load())
    tx = experiment.optimizer.transformation(plan)
    like = jax.eval_shape(
        lambda: (init_state(task.init(jax.random.key(0)), tx), UpdateSums(task.zero_sums()))
    )
    (folder,) = (path for path in workdir.glob("shared-*") if path.is_dir())
    return restore_named(folder / str(STEPS), like).arrays[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def alone(folder):
    """Rows and last state of the run of one process, on one device."""
    config = write_config(folder, "alone", ON_DEVICE, devices=1)
    outputs([start(config, folder / "alone")])
    return rows(folder / "alone"), last_state(folder / "alone")


def assert_close(workdir, alone):
    ours, expected = rows(workdir), alone[0]
    assert [row["step"] for row in ours] == [row["step"] for row in expected]
    for row, other in zip(ours, expected, strict=True):
        for name in ("train_loss", "test_loss", "squared_norm", "learning_rate"):
            assert row[name] == pytest.approx(other[name], rel=2e-4), name
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
        last_state(workdir).params,
        alone[1].params,
    )


@pytest.fixture(scope="module")
def together(folder):
    """The folder of the run of two processes; each reads its part of the streamed data."""
    outputs(start_two(write_config(folder, "together", STREAMED), folder / "together"))
    return folder / "together"


def wait_for_a_checkpoint(workdir, process):
    deadline = time.monotonic() + 240
    while not any(saved_steps(path) for path in workdir.glob("*")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(together, alone):
    assert_close(together, alone)


@pytest.mark.slow
def test_two_processes_make_the_run_of_one_under_pmap_too(folder, alone):
    config = write_config(folder, "mapped", STREAMED, "pmap")
    main, other = outputs(start_two(config, folder / "mapped", "--log", "tensorboard"))
    assert "finished; record in" in main
    assert len(list((folder / "mapped").glob("*/*tfevents*"))) == 1  # and only it logs
    assert "finished" not in other  # only the main process prints
    assert_close(folder / "mapped", alone)


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_saves_both_and_the_run_goes_on(folder, together):
    """Both save at the same update, and the resumed run has the same bits."""
    config, workdir = folder / "together.py", folder / "stopped"
    processes = start_two(config, workdir, "--checkpoint-minutes", "0")
    wait_for_a_checkpoint(workdir, processes[1])
    processes[1].send_signal(signal.SIGTERM)
    printed = outputs(processes, 128 + signal.SIGTERM)
    places = {text.split("saved at update ")[1].split(";")[0] for text in printed}
    assert len(places) == 1 and int(places.pop()) < STEPS
    outputs(start_two(config, workdir, "--resume"))
    assert rows(workdir) == rows(together)
    states = (jax.tree.leaves(last_state(path)) for path in (workdir, together))
    for ours, theirs in zip(*states, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.slow
def test_all_processes_refuse_what_the_main_one_refuses(folder, alone):
    """Only the main process reads the finished record."""
    config = folder / "alone.py"
    for text in outputs(start_two(config, folder / "alone"), code=2):
        assert "holds a finished run" in text


@pytest.mark.slow
def test_all_processes_end_when_the_main_one_cannot_write(folder, together):
    """The disk is full at its first row; the other process does not wait for it forever."""
    config = folder / "together.py"
    for text in outputs(start_two(config, folder / "no_room", file_size=3000), code=1):
        assert "cannot write to" in text


@pytest.mark.slow
def test_processes_with_different_experiments_are_refused(folder):
    config = write_config(folder, "different", ON_DEVICE)
    other = folder / "different_rate.py"
    other.write_text(config.read_text().replace("Cosine(0.01", "Cosine(0.02"))
    for text in outputs(start_all([config, other], folder / "different"), code=2):
        assert "every process has to have the same experiment" in text
        assert "process 1 differs from process 0 in optimizer.lr" in text
        assert "0.01 -> 0.02" in text


# A source whose content is no field of the experiment, as that of a file is not.
WITH_PIXEL = """
import dataclasses
from jaxsched.data import Digits

@dataclasses.dataclass(frozen=True)
class WithPixel(Digits):
    def load(self):
        {load}
"""


def write_data_config(folder, load):
    """A config whose data are made by a line; one of another line describes the same experiment."""
    folder.mkdir(parents=True)
    config = CONFIG.format(data="WithPixel()", driver="jit", devices=2)
    (folder / "data.py").write_text(WITH_PIXEL.format(load=load) + config)
    return folder / "data.py"


CHANGED = "data = super().load(); data.train.images[0, 0, 0, 0] += 1; return data"


@pytest.mark.slow
def test_processes_with_different_data_are_refused_on_all_before_anything_compiles(folder):
    config = write_data_config(folder / "here", "return super().load()")
    other = write_data_config(folder / "there", CHANGED)
    for text in outputs(start_all([config, other], folder / "other_data"), code=2):
        assert "every process has to have the same data" in text
        assert "process 1 differs from process 0 in train.digest: " in text
        assert "compiling" not in text
    assert not (folder / "other_data").exists()


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_fails_alone_ends_the_others_with_its_reason(folder, failing):
    """Its data cannot be read; the other one waits for it, with data of its own."""
    place = folder / f"failing{failing}"
    broken = write_data_config(place / "broken", "raise OSError('the disk of the data is gone')")
    whole = write_data_config(place / "whole", "return super().load()")
    processes = start_all([broken, whole] if failing == 0 else [whole, broken], place / "run")
    start = time.monotonic()
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert time.monotonic() - start < 60
    assert [process.returncode for process in processes] == [
        2 if i == failing else 1 for i in (0, 1)
    ]
    assert "error: the disk of the data is gone" in printed[failing]
    reason = f"another has failed: process {failing}: the disk of the data is gone"
    assert reason in printed[1 - failing]
    assert not any("without a word" in text for text in printed)


@pytest.mark.slow
def test_four_processes_one_of_them_killed_make_the_run_of_one_of_eight_devices(folder):
    """The batch grows from 16 to 32 on eight devices; the killed process is named to the others.

    The four processes' run has the same bits whether one was killed or not. Against one process
    only the order of the sums over devices differs, which gloo chooses by the processes.
    """
    one = write_config(folder, "one_of_eight", STREAMED, devices=8)
    outputs([start(one, folder / "single", devices=8)])
    config = write_config(folder, "four", STREAMED)  # with two devices each
    outputs(start_all([config] * 4, folder / "whole"))
    workdir = folder / "killed"
    processes = start_all([config] * 4, workdir, "--checkpoint-minutes", "0")
    wait_for_a_checkpoint(workdir, processes[3])
    processes[3].kill()
    killed = time.monotonic()
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert time.monotonic() - killed < 60
    assert all(process.returncode for process in processes)
    assert "process 3 has gone without a word" in printed[0], printed[0]
    # On a busy machine one may be too slow to hear of it before process 0, the store, ends.
    assert all("has gone without a word" in text for text in printed[1:3]), "\n".join(printed)
    outputs(start_all([config] * 4, workdir, "--resume"))
    assert rows(workdir) == rows(folder / "whole")
    states = (jax.tree.leaves(last_state(path)) for path in (workdir, folder / "whole"))
    for ours, theirs in zip(*states, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert_close(workdir, (rows(folder / "single"), last_state(folder / "single")))
