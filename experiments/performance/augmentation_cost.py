"""The cost of making a batch on a chip of a TPU v5e, by its compiler; needs no TPU.

    pip install --editable '.[tpu-compile]'
    JAX_PLATFORMS=cpu python experiments/performance/augmentation_cost.py

The part of an update that makes the network's inputs (random numbers, gather, crop, flip,
normalisation) is compiled for four described chips, in a program of its own. Its time is the sum of
the cycles that the compiler estimates for the program's instructions, at 1.5 GHz. That is too
long rather than too short: each small instruction counts as some 1,800 cycles. It is compared with
the shortest time that the FLOPs of the update can take, at the chip's peak in bfloat16.
"""

import re
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.ahead_of_time.hlo.parse import parse_program
from jaxsched.ahead_of_time.hlo.walk import walk
from jaxsched.ahead_of_time.topology import describe_machine
from jaxsched.data import Augment, Images, Synthetic
from jaxsched.data.dataset import UnreadExamples
from jaxsched.data.images import ImageDataset
from jaxsched.models import WideResNet
from jaxsched.models.imagenet_resnet import RESNET50
from jaxsched.tasks import ImageClassification, TaskFunctions
from jaxsched.train.distributed.described import make_described_driver
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.input_pipeline.base import TrainingFeed
from jaxsched.train.input_pipeline.place import place_data

TOPOLOGY, CLOCK_HZ, PEAK_FLOP_PER_S = "v5e:2x2", 1.5e9, 197e12


@dataclass(frozen=True)
class Case:
    """A network, its images, and the images a chip of one update."""

    name: str
    network: Any
    side: int
    num_classes: int
    augment: Augment
    images_a_chip: int
    num_examples: int

    def dataset(self, *, streamed: bool) -> ImageDataset:
        """Returns black images, which are never looked at."""
        shape = (self.num_examples, self.side, self.side, 3)
        images = Images(np.zeros(shape, np.uint8), np.zeros(self.num_examples, np.int32))
        train = UnreadExamples.of(images) if streamed else images
        names = tuple(map(str, range(self.num_classes)))
        return ImageDataset(self.name, train, train, "test", names, (0.5,) * 3, (0.2,) * 3)


CASES = (
    Case("WRN-16-4, CIFAR-10", WideResNet(depth=16, widen=4), 32, 10, Augment(), 128, 50_000),
    Case("ResNet-50, ImageNet", RESNET50, 224, 1000, Augment(pad=0), 32, 4_096),
)


def batch_cycles(driver: Driver, feed: TrainingFeed, size: int) -> int:
    """Returns the cycles that the compiler estimates for making one batch on a chip."""

    def make(shard, index, *block):
        inputs = feed.batch(feed.rows(shard, size, index, block), block).inputs
        return jax.tree.map(shard, inputs)

    text = driver.compile(make, np.int32(0), *feed.like(size)).as_text()
    assert text is not None  # no device runs it, but it has been compiled
    return sum(cycles for cycles, _ in estimated_cycles(text))


def estimated_cycles(text: str) -> list[tuple[int, str]]:
    """Returns the cycles that the compiler estimates for instructions, with their names."""
    return [
        (site.times * int(found[1]), site.instruction.name)
        for site in walk(parse_program(text))
        if (found := re.search(r'"estimated_cycles":"(\d+)"', site.instruction.backend_config))
    ]


def flops(task: TaskFunctions, case: Case) -> float:
    """Returns the FLOPs of the gradient of one chip's images."""
    images = jax.ShapeDtypeStruct((case.images_a_chip, case.side, case.side, 3), jnp.bfloat16)
    labels = jax.ShapeDtypeStruct((case.images_a_chip,), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), case.images_a_chip))
    variables = jax.eval_shape(task.init, key)

    def loss(params, stats, inputs, keys):
        return task.train_loss({"params": params, "batch_stats": stats}, inputs, keys)[0]

    lowered = jax.jit(jax.grad(loss)).lower(
        variables["params"], variables["batch_stats"], (images, labels), keys
    )
    return (lowered.cost_analysis() or {})["flops"]


def main() -> None:
    """Prints a table."""
    machine = describe_machine(TOPOLOGY)
    assert machine.devices is not None
    driver = make_described_driver("jit", machine.devices)
    print(f"jax {jax.__version__}, {TOPOLOGY}")
    print("| network | images a chip | feed | batch, ms | FLOPs at peak, ms | share, at most |")
    print("|---|---|---|---|---|---|")
    for case in CASES:
        for streamed in (True, False):
            dataset = case.dataset(streamed=streamed)
            task = ImageClassification(case.network, Synthetic(), case.augment).build(
                dataset, dtype=jnp.bfloat16
            )
            feed = place_data(driver, dataset, task).training
            cycles = batch_cycles(driver, feed, case.images_a_chip * driver.num_shards)
            batch = 1e3 * cycles / CLOCK_HZ
            network = 1e3 * flops(task, case) / PEAK_FLOP_PER_S
            row = (case.name, case.images_a_chip, "streamed" if streamed else "resident")
            share = 100 * batch / (batch + network)
            print("", *row, f"{batch:.3f}", f"{network:.2f}", f"{share:.1f} %", "", sep=" | ")


if __name__ == "__main__":
    main()
