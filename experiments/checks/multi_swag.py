"""What do SWA, draws around the average (SWAG) and ensembles of runs gain on CIFAR-10?

    python experiments/checks/multi_swag.py

`data` holds the official files. Three runs of 1cycle and a constant rate on the first 5,000 images
(a ResNet-8 of width 8, 12 epochs, a few minutes on a CPU) collect their weights after each of the
last 6 epochs. The script prints and writes test accuracy and test loss of the last weights, SWA,
SWAG (10 draws of one run), Multi-SWA (3 runs) and Multi-SWAG (3 × 10 draws). The methods are those
of Wilson and Izmailov, "Bayesian deep learning and a probabilistic perspective of generalization"
(arXiv 2002.08791).
"""

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import jax

import jaxsched as js
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet, Params, Variables
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import environment
from jaxsched.train import Program, TrainState, evaluate_ensemble, train

SEEDS = (0, 1, 2)
DRAWS = 10
RESULTS = Path(__file__).parents[1] / "results" / "multi_swag.json"

cycle = js.OneCycle(0.1, duration=6)
experiment = Experiment(
    name="multi_swag",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Subset(Cifar10(folder="data"), num_train=5_000)
    ),
    phases=(js.Phase(epochs=12, batch_size=32),),
    optimizer=js.SGD(
        lr=js.Sequence((cycle, js.Constant(0.03)), boundaries=(6,)),
        momentum=0.9,
        weight_decay=5e-4,
        averaging=js.Swag(start=6, rank=6),
    ),
    evaluate_every=12,
)


def member(program: Program, params: Params, seed: int) -> Variables:
    """Adds batch statistics of all training examples to parameters."""
    step = program.plan.total_steps
    return program.recompute_batch_stats(
        params, seed=seed, step=step, num_examples=program.plan.num_examples
    )


def draws(program: Program, state: TrainState, seed: int) -> list[Variables]:
    """Draws networks from the Gaussian around one run's average."""
    sample, keys = jax.jit(js.sample_swag), jax.random.split(jax.random.key(seed), DRAWS)
    params = (sample(state.opt_state, state.params, key) for key in keys)
    return [member(program, program.driver.replicate(drawn), seed) for drawn in params]


def main() -> None:
    """Trains the runs, evaluates the ensembles, prints and writes the results."""
    program = Program(experiment, experiment.task.data.load())
    states = {s: train(program, s, on_evaluation=lambda row: print(row)).state for s in SEEDS}
    averages = {s: member(program, program.averaged_params(x), s) for s, x in states.items()}
    drawn = {s: draws(program, x, s) for s, x in states.items()}
    by_seed = {
        "last weights": [evaluate_ensemble(program, [states[s].variables]) for s in SEEDS],
        "SWA": [evaluate_ensemble(program, [averages[s]]) for s in SEEDS],
        f"SWAG, {DRAWS} draws": [evaluate_ensemble(program, drawn[s]) for s in SEEDS],
    }
    every_draw = itertools.chain.from_iterable(drawn.values())
    ensembles = {
        f"Multi-SWA, {len(SEEDS)} runs": [evaluate_ensemble(program, averages.values())],
        f"Multi-SWAG, {len(SEEDS)} x {DRAWS} draws": [evaluate_ensemble(program, every_draw)],
    }
    rows = [row(name, results) for name, results in {**by_seed, **ensembles}.items()]
    for entry in rows:
        print(f"{entry['name']:28} {entry['accuracy']:.2%}  loss {entry['loss']:.3f}")
    content = {"experiment": experiment.digest(), "environment": environment(), "rows": rows}
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def row(name: str, results: list[tuple[float, float]]) -> dict[str, Any]:
    """Averages the losses and accuracies of the runs, as one row of the results."""
    losses, accuracies = zip(*results, strict=True)
    return {
        "name": name,
        "n": len(results),
        "accuracy": statistics.fmean(accuracies),
        "loss": statistics.fmean(losses),
        "accuracies": accuracies,
    }


if __name__ == "__main__":
    main()
