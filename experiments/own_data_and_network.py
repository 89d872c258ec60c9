"""A run with data and a network of your own: a config to fork.

    jaxsched train experiments/own_data_and_network.py
    python experiments/own_data_and_network.py

The second command makes the same run from Python and prints its accuracy. Both take a few seconds
on a CPU and reach about 94 % on the test split.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from sklearn.datasets import load_digits

import jaxsched as js
from jaxsched.data import Augment, ImageDataset, Images, Source, channel_statistics
from jaxsched.experiment import Experiment
from jaxsched.models import Model, Network
from jaxsched.tasks import ImageClassification
from jaxsched.train import Program, train


@dataclass(frozen=True)
class MyDigits(Source):
    """A source is a frozen dataclass of plain fields; its `load` returns the arrays."""

    num_test: int = 300

    def load(self) -> ImageDataset:
        """Reads the scans; the first ones are the test split."""
        pixels, labels = load_digits(return_X_y=True)
        images = (15 * pixels).astype(np.uint8).reshape(-1, 8, 8, 1)  # height, width, channels
        labels = labels.astype(np.int32)
        test = Images(images[: self.num_test], labels[: self.num_test])
        rest = Images(images[self.num_test :], labels[self.num_test :])
        mean, std = channel_statistics(rest.images)
        return ImageDataset("my digits", rest, test, "test", tuple("0123456789"), mean, std)


@dataclass(frozen=True)
class Perceptron(Network):
    """A network is a frozen dataclass, too; its `build` returns four pure functions."""

    width: int = 64

    def build(
        self, num_classes: int, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> Model:
        """One hidden layer in Flax Linen; any library that gives such functions will do."""
        del axis_name  # over which batch norm would average its statistics
        module = nn.Sequential(
            [nn.Dense(self.width, dtype=dtype), nn.relu, nn.Dense(num_classes, dtype=dtype)]
        )

        def init(key, image_shape):
            params = module.init(key, jnp.zeros((1, prod(image_shape))))["params"]
            return {"params": params, "batch_stats": {}}  # no batch norm, so no statistics

        def logits(variables, images):
            flat = images.reshape(len(images), -1)
            found: Any = module.apply({"params": variables["params"]}, flat)
            return found.astype(jnp.float32)

        return Model(
            init=init,
            train_logits=lambda variables, images, keys: (logits(variables, images), {}),
            eval_logits=logits,
            batch_moments=lambda variables, images: {},
        )


lr = js.OneCycle(peak=0.1, duration="100%")
experiment = Experiment(
    name="own_data_and_network",
    task=ImageClassification(
        model=Perceptron(), data=MyDigits(), augment=Augment(pad=0, flip=False)
    ),
    phases=(js.Phase(epochs=20, batch_size=32),),
    optimizer=js.SGD(lr, momentum=lr.momentum(high=0.95, low=0.85), weight_decay=5e-4),
)


def main() -> float:
    """Trains; returns the final test accuracy."""
    program = Program(experiment, experiment.task.data.load())
    return train(program, seed=0, on_evaluation=lambda row: None).rows[-1].test_accuracy


if __name__ == "__main__":
    print(f"test accuracy {main():.1%}")
