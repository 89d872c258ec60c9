"""How many examples do the batch statistics of an average need?

    python experiments/checks/reestimation.py

`data` holds the official files. Two epochs of 1cycle on all of CIFAR-10 with a ResNet-8 of width 8,
averaging the weights of every 100 updates of the second one (three minutes on one core). Against
statistics of all examples, the script measures the test accuracy and the error: the root mean
square, over all channels, of the difference in mean and standard deviation, in units of the latter;
see `jaxsched/train/step/batch_norm_stats.py`.
"""

import json
from pathlib import Path

import jax

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import environment
from jaxsched.train import Program, train
from jaxsched.train.step.batch_norm_stats import relative_error

SIZES = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
RESULTS = Path(__file__).parents[1] / "results" / "reestimation.json"

experiment = Experiment(
    name="reestimation",
    task=ImageClassification(model=CifarResNet(depth=8, width=8), data=Cifar10(folder="data")),
    phases=(js.Phase(epochs=2, batch_size=32),),
    optimizer=js.SGD(
        js.OneCycle(0.1, duration="100%"),
        momentum=0.9,
        weight_decay=5e-4,
        averaging=js.Averaging(start=1, every="100 updates"),
    ),
    evaluate_every=2,
)


def main() -> None:
    """Trains once, recomputes statistics from each number of examples, prints and writes."""
    program = Program(experiment, experiment.task.data.load())
    state = train(program, 0, on_evaluation=print).state
    params, step = program.averaged_params(state), program.plan.total_steps
    networks = {
        n: program.recompute_batch_stats(params, seed=0, step=step, num_examples=n) for n in SIZES
    }
    rows = []
    for n, network in networks.items():
        error = relative_error(network["batch_stats"], networks[SIZES[-1]]["batch_stats"])
        sums = jax.device_get(program.evaluate(network))
        accuracy = float(program.metric_values(sums)["accuracy"])
        rows.append({"examples": n, "error": float(error), "accuracy": accuracy})
        print(f"{n:6,} examples  error {float(error):.4f}  accuracy {accuracy:.2%}")
    content = {"experiment": experiment.digest(), "environment": environment(), "rows": rows}
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
