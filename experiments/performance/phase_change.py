"""How long do devices wait when the batch size changes, and what does compiling ahead save?

    python experiments/performance/phase_change.py

Two phases of a ResNet-8 of width 8 on CIFAR-10, batch 32 and then 160; `data` holds the official
files. The trainer compiles the second batch size in the background while the first trains. The
script compares this with a program that compiles at the boundary. They take turns, each update is
waited for, and nothing is kept from run to run. A last pair of processes shares a folder of JAX's
persistent cache, as runs of the `jaxsched` command do. Prints medians over the rounds, and all
numbers as a line of JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import jax

import jaxsched as js
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, CifarResNet
from jaxsched.tasks import ImageClassification
from jaxsched.train import Program, keep_compiled

NUM_ROUNDS = 3
FIRST, SECOND = 32, 160
experiment = Experiment(
    name="phase_change",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8, norm=BatchNorm(ghost=32)),
        data=Subset(Cifar10(folder="data"), num_train=10_000),
    ),
    phases=(js.Phase(epochs=4, batch_size=FIRST), js.Phase(epochs=0.5, batch_size=SECOND)),
    optimizer=js.SGD(0.025, momentum=0.9, weight_decay=5e-4),
    max_device_batch=32,
)


class Change(NamedTuple):
    """Measurements of one run's change of batch size, in seconds except for the last.

    Attributes:
        while_compiling: the median update of the first size while the second is compiled.
        compiled: the median update of the first size after that.
        larger: the median update of the second size.
        spread: how much longer the slowest tenth of those updates took: so much is chance.
        gap: how much longer the first of those updates took.
        compiling: how long the second size compiled in the background.
        waited: how much of that time the devices stood still.
        gap_in_updates: the gap in updates of the first size.
    """

    while_compiling: float
    compiled: float
    larger: float
    spread: float
    gap: float
    compiling: float
    waited: float
    gap_in_updates: float


def in_the_background(program: Program) -> Change:
    """Trains both phases, one update in each dispatch."""
    state, sums = program.init(0), program.zero_sums()
    jax.block_until_ready(sums)
    seconds, ready = [], []
    for step in range(program.plan.total_steps):
        start = time.perf_counter()
        state, sums = program.update(state, sums, seed=0, step=step, count=1)
        jax.block_until_ready(sums)
        seconds.append(time.perf_counter() - start)
        ready.append(program.is_compiled(SECOND))
    change = program.plan.segments[0].end_step
    compiled = ready.index(True)
    if compiled >= change - 100:
        raise RuntimeError(
            f"the second batch size was compiled after {compiled} of {change} updates; give the "
            "first phase more epochs."
        )
    small = statistics.median(seconds[compiled + 1 : change])
    larger = statistics.median(seconds[change + 1 :])
    slow = statistics.quantiles(seconds[change + 1 :], n=10)[-1]
    cost = next(c for c in program.compilations if c.batch_size == SECOND)
    gap = seconds[change] - larger
    return Change(
        while_compiling=statistics.median(seconds[1 : compiled + 1]),
        compiled=small,
        larger=larger,
        spread=slow - larger,
        gap=gap,
        compiling=cost.seconds,
        waited=cost.waited_seconds,
        gap_in_updates=gap / small,
    )


def at_the_boundary(program: Program) -> float:
    """Measures the seconds of waiting for the second size if nothing has begun to compile it."""
    start = time.perf_counter()
    program.wait_for(SECOND)
    return time.perf_counter() - start


def in_a_process(cache: str) -> float:
    """Measures how long a new process with this cache folder compiles the second size."""
    command = [sys.executable, __file__, "compile"]
    variables = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    return float(subprocess.check_output(command, env=variables, text=True))


def main() -> None:
    """Runs the rounds, prints the medians and all numbers."""
    dataset = experiment.task.data.load()
    if sys.argv[1:] == ["compile"]:
        keep_compiled()
        print(at_the_boundary(Program(experiment, dataset)))
        return
    changes, waits = [], []
    for _ in range(NUM_ROUNDS):
        changes.append(in_the_background(Program(experiment, dataset)))
        waits.append(at_the_boundary(Program(experiment, dataset)))
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = in_a_process(cache), in_a_process(cache)

    median = Change(*map(statistics.median, zip(*changes, strict=True)))
    slower = statistics.median(c.while_compiling / c.compiled for c in changes)
    wait = statistics.median(waits)
    print(
        f"an update of {FIRST}: {1e3 * median.compiled:.1f} ms; {slower:.2f} times that while "
        f"{SECOND} compiles, for {median.compiling:.1f} s"
    )
    print(
        f"an update of {SECOND}: {1e3 * median.larger:.1f} ms, "
        f"one in ten {1e3 * median.spread:.1f} ms more; the first of them"
    )
    print(
        f"  compiled in the background: {1e3 * median.gap:.1f} ms more, "
        f"{median.gap_in_updates:.2f} updates of {FIRST}; {1e3 * median.waited:.1f} ms of waiting"
    )
    print(
        f"  compiled at the boundary: {1e3 * wait:.0f} ms of waiting, "
        f"{wait / median.compiled:.0f} updates of {FIRST}"
    )
    print(f"with the persistent cache: {cold:.2f} s in a first process, {warm:.2f} s in a second")
    figures = {
        "background": [change._asdict() for change in changes],
        "boundary": waits,
        "cache": {"cold": cold, "warm": warm},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
