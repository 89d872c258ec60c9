"""How many minutes of an H200 do the studies for a GPU take? Computed, not measured.

    python experiments/gpu/costs.py

Prints a row for each study of a size for GPUs. FLOP are those that XLA counts in the forward pass,
three times for an update and once for an evaluation. Minutes assume a quarter of the chip's dense
peak (989 TFLOP/s in bfloat16, 67 in float32, which jaxsched does not round to TF32), and no update
below 1.2 ms, as some 400 kernels take. Compilation, about a minute a study, is not in them.
Nothing is trained, and no data are read.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsched.ahead_of_time.chips import GPUS
from jaxsched.bench import Study, load_study
from jaxsched.experiment import Experiment, load_module
from jaxsched.models import Network
from jaxsched.tasks import ImageClassification

ROOT = Path(__file__).parents[2]
SIZES = ("quarter_hour", "full")
TRAIN, TEST, IMAGE = 50_000, 10_000, (32, 32, 3)
PEAKS = {"bfloat16": GPUS["h200"].bf16, "float32": GPUS["h200"].float32}
UTILISATION, LEAST_SECONDS = 0.25, 1.2e-3


class Cost(NamedTuple):
    """Training and evaluation.

    Attributes:
        images: images trained on.
        flop: operations.
        seconds: seconds of an H200.
    """

    images: float
    flop: float
    seconds: float


@functools.cache
def forward_flop(network: Network) -> float:
    """Counts the operations of the forward pass for an image, padding left out."""
    model = network.build(num_classes=10)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), IMAGE))
    image = jax.ShapeDtypeStruct((1, *IMAGE), jnp.float32)
    analysis = jax.jit(model.eval_logits).lower(variables, image).cost_analysis()
    assert analysis
    return analysis["flops"]


def cost(run: Experiment) -> Cost:
    """Computes the cost of one run."""
    assert isinstance(run.task, ImageClassification)
    plan, flop = run.plan(TRAIN), forward_flop(run.task.model)
    images = plan.examples_at(plan.total_steps)
    evaluated = TEST * sum(phase.epochs for phase in run.phases) / run.evaluate_every
    training, evaluation = 3 * flop * images, flop * evaluated
    rate = UTILISATION * PEAKS[run.precision]
    seconds = max(training / rate, LEAST_SECONDS * plan.total_steps) + evaluation / rate
    return Cost(images, training + evaluation, seconds)


def total(study: Study) -> Cost:
    """Computes the cost of a study."""
    costs = [cost(run) for run in study.experiments]
    return Cost(*(len(study.seeds) * sum(column) for column in zip(*costs, strict=True)))


def rows() -> Iterator[str]:
    """Yields the rows of the table."""
    yield "| command | runs | million images | FLOP | minutes of an H200 |"
    yield "|---|---:|---:|---:|---:|"
    for size in SIZES:
        for path in sorted((ROOT / "experiments" / "studies").rglob("*.py")):
            if size in getattr(load_module(path), "sizes", {}):
                study = load_study(path, size)
                images, flop, seconds = total(study)
                command = f"jaxsched bench {path.relative_to(ROOT)} --size {size}"
                runs = len(study.experiments) * len(study.seeds)
                cells = (runs, f"{images / 1e6:,.0f}", f"{flop:.1e}", f"{seconds / 60:,.0f}")
                yield f"| `{command}` | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    print("\n".join(rows()))
