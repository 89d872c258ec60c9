"""What does a larger momentum cost because its velocity builds up slowly, and what gives it back?

    python experiments/checks/momentum_lag.py [SEED …]

Momentum 0.98 at batch 800 takes B / (N (1 − momentum)) = 4 of the 12 epochs of `larger_momentum` in
`experiments/studies/dont_decay.py` to build up. This script makes that run again, and with the same
noise: with a momentum and a batch that rise together (`max_lag`), with a velocity that is rescaled
where the momentum rises, and `larger_lr`, which has momentum 0.9. It prints a line of JSON for each
run. Six minutes a seed on one core beside other jobs; `data` holds CIFAR-10's official files.
"""

import dataclasses
import json
import runpy
import sys
from pathlib import Path
from typing import Any

from jaxsched.experiment import Experiment
from jaxsched.train import Program, split_cpu, train

LARGER = {"mode": "batch", "lr_factor": 5}
RUNS: dict[str, tuple[dict[str, Any], bool]] = {
    "larger_lr": (LARGER, False),
    "larger_momentum": ({**LARGER, "new_momentum": 0.98}, False),
    "ramp": ({**LARGER, "new_momentum": 0.98, "max_lag": 0.25}, False),
    "ramp_rescaled": ({**LARGER, "new_momentum": 0.98, "max_lag": 0.25}, True),
}


def experiments() -> list[Experiment]:
    """Returns the runs, all with the noise of the study's `decay`."""
    study = runpy.run_path(str(Path(__file__).parents[1] / "studies" / "dont_decay.py"))
    base = dataclasses.replace(study["base"], stats_memory="updates", num_devices=None)
    made = []
    for name, (how, rescale) in RUNS.items():
        optimizer = dataclasses.replace(
            base.optimizer, lr=study["steps"](study["RATE"]), rescale_velocity=rescale
        )
        run = dataclasses.replace(base, name=name, optimizer=optimizer)
        limits = {"num_examples": study["NUM_TRAIN"], "max_batch_size": study["MAX_BATCH_SIZE"]}
        made.append(study["traded"](run, **limits, **how))
    return made


def main(seeds: list[int]) -> None:
    """Makes all runs of these seeds and prints their accuracies, in per cent."""
    split_cpu()
    for seed in seeds:
        for experiment in experiments():
            program = Program(experiment, experiment.task.data.load())
            outcome = train(program, seed, on_evaluation=lambda row: None)
            row = outcome.rows[-1]
            measured = {
                "run": experiment.name,
                "seed": seed,
                "updates": int(outcome.state.step),
                "test_accuracy": round(100 * row.test_accuracy, 2),
                "train_loss": round(row.train_loss, 4),
            }
            print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1, 2])
