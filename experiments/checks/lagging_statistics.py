"""Do batch norm's running statistics keep up with weights whose batch has grown?

    python experiments/checks/lagging_statistics.py

With `stats_memory="updates"` the running statistics remember some ten updates, which are 320
examples at batch 32 and 8,000 at batch 800. This script makes the runs `abel` and `abel_batch` of
`experiments/studies/dont_decay.py`, whose noise is the same, with that memory, and evaluates their
last weights with the running statistics and with ones recomputed from all training examples. It
prints a line of JSON for each run. Five minutes on one core; `data` holds CIFAR-10's official
files.
"""

import dataclasses
import json
from pathlib import Path

import jax

from jaxsched.bench import load_study
from jaxsched.experiment import Experiment
from jaxsched.train import Program, split_cpu, train

SEED = 1


def measured(experiment: Experiment) -> dict[str, object]:
    """Measures the last weights' test accuracy, in per cent, with both kinds of statistics."""
    program = Program(experiment, experiment.task.data.load())
    outcome = train(program, SEED, on_evaluation=lambda row: None)
    recomputed = program.recompute_batch_stats(
        outcome.state.params,
        seed=SEED,
        step=int(outcome.state.step),
        num_examples=program.plan.num_examples,
        plan=outcome.plan,
    )
    with_recomputed = jax.device_get(program.evaluate(recomputed))
    return {
        "run": experiment.name,
        "seed": SEED,
        "running": round(100 * outcome.rows[-1].test_accuracy, 2),
        "recomputed": round(100 * program.metric_values(with_recomputed)["accuracy"], 2),
    }


def main() -> None:
    """Makes both runs and prints their accuracies."""
    split_cpu()
    study = load_study(Path(__file__).parents[1] / "studies" / "dont_decay.py")
    for experiment in study.experiments:
        if experiment.name in ("abel", "abel_batch"):
            by_updates = dataclasses.replace(experiment, stats_memory="updates", num_devices=None)
            print(json.dumps(measured(by_updates)), flush=True)


if __name__ == "__main__":
    main()
