"""A program compiles each batch size once, beside the run, and not again in a second process."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.models import CifarResNet
from jaxsched.train import Program, train
from jaxsched.train.program.executables import Executables


class Compiler:
    """Returns a function for each size once it is allowed to; notes the sizes and the threads."""

    def __init__(self):
        self.compiled, self.threads, self.allowed = [], set(), threading.Event()
        self.allowed.set()

    def __call__(self, size):
        assert self.allowed.wait(30)
        self.compiled.append(size)
        self.threads.add(threading.current_thread())
        if size < 0:
            raise ValueError(f"no size {size}")
        return lambda: size


def test_each_size_is_compiled_once_in_order_and_in_another_thread():
    compiler = Compiler()
    executables = Executables(compiler)
    executables.prepare((32, 64, 32))
    executables.prepare((64, 128))
    assert [executables[size]() for size in (128, 32, 64)] == [128, 32, 64]
    assert compiler.compiled == [32, 64, 128]
    assert len(compiler.threads) == 1 and threading.main_thread() not in compiler.threads
    assert [cost.batch_size for cost in executables.costs()] == [32, 64, 128]


def test_waiting_for_the_compiler_is_counted_apart():
    compiler = Compiler()
    compiler.allowed.clear()
    executables = Executables(compiler)
    executables.prepare((32,))
    assert not executables.is_compiled(32)
    threading.Timer(0.1, compiler.allowed.set).start()
    _ = executables[32]
    executables.prepare((64,))
    executables._futures[64].result()
    _ = executables[64]
    waited = {cost.batch_size: cost.waited_seconds for cost in executables.costs()}
    assert waited[32] > 0 and waited[64] == 0


def test_a_failed_compilation_is_raised_at_the_next_dispatch():
    executables = Executables(Compiler())
    executables.prepare((32, -1))
    with pytest.raises(ValueError, match="no size -1"):
        executables[-1]
    assert executables[32]() == 32
    with pytest.raises(ValueError, match="no size -1"):
        executables.check()
    assert [cost.batch_size for cost in executables.costs()] == [32]


def test_stop_cancels_compilations_that_have_not_begun():
    compiler = Compiler()
    compiler.allowed.clear()
    executables = Executables(compiler)
    executables.prepare((32, 64, 128))
    executables.stop()  # 32 is under way
    compiler.allowed.set()
    assert executables[32]() == 32
    assert compiler.compiled == [32]
    assert executables[64]() == 64


def test_a_run_compiles_its_sizes_while_it_trains(program):
    rows = []
    train(program, seed=5, on_evaluation=rows.append)
    assert [cost.batch_size for cost in program.compilations] == [16, 24]
    assert all(cost.seconds > 0 for cost in program.compilations)


@pytest.mark.slow
def test_a_phase_that_does_not_fit_is_a_memory_error_with_advice(experiment):
    """Compiling the second phase shows that it needs more memory than this machine has."""
    large = dataclasses.replace(
        experiment.with_task(
            model=CifarResNet(depth=8, width=512),
            data=Synthetic(num_train=20_000, num_test=16, image_size=32),
        ),
        phases=(js.Phase(0.01, 16), js.Phase(1, 20_000)),
        num_devices=1,
    )
    message = (
        r"phase 2, batch_size=20000, 20000 examples a device at a time \(max_device_batch=None\): "
        r"they need .* GB a device, which has .*max_device_batch=\d+ takes fewer .*BatchNorm\(gho"
    )
    program = Program(large, large.task.data.load())
    with pytest.raises(MemoryError, match=message):
        program.wait_for(20_000)


CONFIG = """
import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="twice",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32),
    ),
    phases=(js.Phase(1, 16), js.Phase(1, 32)),
    optimizer=js.SGD(0.1, momentum=0.9),
)
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing_anew(tmp_path):
    """A program missing from the cache would be written to it, but the second run adds none."""
    config, cache = tmp_path / "twice.py", tmp_path / "cache"
    config.write_text(CONFIG)
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}

    def run(workdir):
        command = [sys.executable, "-m", "jaxsched.cli", "train", str(config)]
        subprocess.run(
            [*command, "--workdir", str(tmp_path / workdir)],
            env=environment,
            check=True,
            capture_output=True,
            timeout=300,
        )
        (record,) = (tmp_path / workdir).glob("*.jsonl")
        losses = [line for line in Path(record).read_text().splitlines() if "test_loss" in line]
        return {path.name for path in cache.iterdir()}, len(losses)

    first, second = run("first"), run("second")
    assert len(first[0]) > 5
    assert second == first
