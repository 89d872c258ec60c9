"""What does splitting a batch cost? 1, 2, 4 and 8 virtual devices of a CPU, with both drivers.

    taskset -c 0 python experiments/performance/scaling.py

Virtual devices share the cores, so nothing here can get faster: the script measures the price of
splitting and reducing, not the gain of more devices. On one core there is only that price. A
ResNet-8 of width 16 trains on synthetic images of 32 × 32. The numbers of devices take turns, round
after round; a price is the median over rounds of the ratio within a round.

Formula:
    strong: 128 images however many devices,   price = t(n devices) / t(1)
    weak:   16 images a device,                price = t(n devices) / (n · t(1))

A strong price below 1 is no mistake: on a CPU small parts of a batch take less time for each image
than large ones. The weak price compares parts of equal size.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import jax
import numpy as np

import jaxsched as js
from jaxsched.data import Augment, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import environment
from jaxsched.train import Program, train

RESULTS = Path(__file__).parents[1] / "results" / "scaling" / "scaling.jsonl"
NUM_DEVICES = (1, 2, 4, 8)
NUM_ROUNDS = 5
NUM_EPOCHS = 3  # in a round; the first one warms up
STRONG_BATCH = 128
WEAK_BATCH = 16  # for each device


@dataclass(frozen=True)
class Case:
    """A way to split a batch."""

    scaling: Literal["strong", "weak"]
    driver: Literal["jit", "pmap"]
    devices: int

    @property
    def batch_size(self) -> int:
        """Images in an update, over all devices together."""
        return STRONG_BATCH if self.scaling == "strong" else WEAK_BATCH * self.devices

    @property
    def alone(self) -> "Case":
        """The case that this one is compared with: the same on one device."""
        return Case(self.scaling, self.driver, 1)

    def program(self) -> Program:
        """The trainer's own program for this case."""
        experiment = Experiment(
            name="scaling",
            task=ImageClassification(
                model=CifarResNet(depth=8, width=16),
                data=Synthetic(num_train=256, num_test=8, image_size=32),
                augment=Augment(),
            ),
            phases=(js.Phase(NUM_EPOCHS, self.batch_size),),
            optimizer=js.SGD(lr=0.01, momentum=0.9, weight_decay=5e-4),
            driver=self.driver,
            num_devices=self.devices,
        )
        return Program(experiment, experiment.task.data.load())


CASES = tuple(
    Case(scaling, driver, devices)
    for scaling in ("strong", "weak")
    for driver in ("jit", "pmap")
    for devices in NUM_DEVICES
)
Round = dict[Case, float]  # seconds an update


def update_seconds(program: Program) -> float:
    """Makes a short run; returns the median over epochs of the seconds of an update."""
    rows = []
    train(program, seed=0, on_evaluation=rows.append)
    return statistics.median(
        (after.train_seconds - before.train_seconds) / (after.step - before.step)
        for before, after in pairwise(rows)
    )


def price(seconds: Round, case: Case) -> float:
    """An update's time over that of the same work on one device; 1 if splitting is free."""
    work = case.batch_size / case.alone.batch_size
    return seconds[case] / (work * seconds[case.alone])


def table(rounds: Sequence[Round]) -> str:
    """Markdown table of the fastest update, and the price's median and quartiles over rounds."""
    lines = ["| scaling | driver | devices | batch | fastest update, ms | price (middle half) |"]
    lines += ["|---|---|---:|---:|---:|---:|"]
    for case in CASES:
        fastest = 1e3 * min(seconds[case] for seconds in rounds)
        prices = [price(seconds, case) for seconds in rounds]
        low, median, high = np.quantile(prices, (0.25, 0.5, 0.75))
        lines.append(
            f"| {case.scaling} | {case.driver} | {case.devices} | {case.batch_size} "
            f"| {fastest:.1f} | {median:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures round after round, writes the times and prints the table."""
    jax.config.update("jax_num_cpu_devices", max(NUM_DEVICES))
    programs = {case: case.program() for case in CASES}
    rounds = [
        {case: update_seconds(program) for case, program in programs.items()}
        for _ in range(NUM_ROUNDS)
    ]
    lines = [{"environment": environment()}]
    lines += [
        {"round": number, **asdict(case), "batch_size": case.batch_size, "seconds": seconds}
        for number, timed in enumerate(rounds)
        for case, seconds in timed.items()
    ]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    print(table(rounds))


if __name__ == "__main__":
    main()
