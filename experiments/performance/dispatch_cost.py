"""What does the loop of a run cost beside the updates themselves, and what does streaming cost?

    python experiments/performance/dispatch_cost.py

A ResNet-8 of width 16 at batch 128 of 32 × 32 images: the same updates in one dispatch, a dispatch
each, in the loop of a run (`jaxsched.train.train`, with its dispatches of about a second, its
metrics and its clock), and in that loop with the data streamed from the host. They take turns in
one process, each on all cores; the numbers are medians over rounds.
"""

import statistics
import time

import jax

import jaxsched as js
from jaxsched.data import Augment, Streamed, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification
from jaxsched.train import Program, split_cpu, train

NUM_ROUNDS = 7
UPDATES = 64
experiment = Experiment(
    name="dispatch_cost",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=16),
        data=Synthetic(num_train=UPDATES * 128, num_test=8, image_size=32),
        augment=Augment(),
    ),
    phases=(js.Phase(epochs=1, batch_size=128),),
    optimizer=js.SGD(js.Cosine(0.1, duration=1), momentum=0.9, weight_decay=5e-4),
)


def in_dispatches_of(program: Program, count: int) -> float:
    """Measures the seconds of an epoch in dispatches of this many updates."""
    state, sums = program.init(0), program.zero_sums()
    jax.block_until_ready(sums)
    start = time.perf_counter()
    for step in range(0, UPDATES, count):
        state, sums = program.update(state, sums, seed=0, step=step, count=count)
    jax.block_until_ready(sums)
    return time.perf_counter() - start


def in_a_run(program: Program) -> float:
    """Measures the training seconds of an epoch in the loop of a run."""
    return train(program, 0, on_evaluation=lambda row: None).rows[-1].train_seconds


def main() -> None:
    """Runs the rounds and prints the medians and their ratio to one dispatch of all updates."""
    split_cpu()
    program = Program(experiment, experiment.task.data.load())
    stream = experiment.with_task(data=Streamed(experiment.task.data))
    streamed = Program(stream, stream.task.data.load())
    contestants = {
        "one dispatch of all": lambda: in_dispatches_of(program, UPDATES),
        "one dispatch an update": lambda: in_dispatches_of(program, 1),
        "the loop of a run": lambda: in_a_run(program),
        "the loop of a run, streamed": lambda: in_a_run(streamed),
    }
    rounds = [{name: run() for name, run in contestants.items()} for _ in range(NUM_ROUNDS + 1)][1:]
    for name in contestants:
        milliseconds = [1e3 * times[name] / UPDATES for times in rounds]
        ratios = [times[name] / times["one dispatch of all"] for times in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:28} {statistics.median(milliseconds):7.1f} ms an update, ratio {middle:.3f} "
            f"(quartiles {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
