"""Eight runs: one after another, one a device, or side by side by vmap?

    python experiments/performance/many_at_once.py

Measures the milliseconds of an update of one of the runs, for small networks on this machine:
medians of five turns in which every strategy is timed once. Writes
`experiments/results/many_at_once/ways.json`.
"""

import dataclasses
import json
import statistics
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxsched as js
from jaxsched.data import Augment, Digits, Source, Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet, Model, Network
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import environment
from jaxsched.train import Member, split_cpu
from jaxsched.tune import prepare, seconds_per_update

RUNS, TURNS, UPDATES = 8, 5, 8
RESULT = Path(__file__).parents[1] / "results" / "many_at_once" / "ways.json"


@dataclasses.dataclass(frozen=True)
class Perceptron(Network):
    """Three dense layers without a norm."""

    width: int = 256

    def build(self, num_classes, *, dtype=jnp.float32, axis_name=None) -> Model:
        """See `Network.build`."""
        del axis_name  # The network has no batch statistics.

        def init(key, image_shape):
            height, width, channels = image_shape
            sizes = (height * width * channels, self.width, self.width, num_classes)
            layers = zip(jax.random.split(key, 3), sizes[:-1], sizes[1:], strict=True)
            return {
                "params": {
                    f"dense{n}": jax.random.normal(k, (i, o)) * (2 / i) ** 0.5
                    for n, (k, i, o) in enumerate(layers)
                },
                "batch_stats": {},
            }

        def logits(variables, images):
            layers = list(variables["params"].values())
            x = images.reshape(len(images), -1).astype(dtype)
            for kernel in layers[:-1]:
                x = jax.nn.relu(x @ kernel.astype(dtype))
            return (x @ layers[-1].astype(dtype)).astype(jnp.float32)

        return Model(
            init=init,
            train_logits=lambda variables, images, keys: (logits(variables, images), {}),
            eval_logits=logits,
            batch_moments=lambda variables, images: {},
        )


def experiment(model: Network, data: Source, batch_size: int) -> Experiment:
    """An experiment with this network, data and batch size."""
    return Experiment(
        name="run",
        task=ImageClassification(model=model, data=data, augment=Augment()),
        phases=(js.Phase(epochs=10, batch_size=batch_size),),
        optimizer=js.SGD(js.Cosine(0.1, duration="100%"), momentum=0.9, weight_decay=5e-4),
    )


cifar_sized = Synthetic(num_train=5000, num_test=500, image_size=32)
EXPERIMENTS = {
    "three dense layers of 256, digits, batch 32": experiment(Perceptron(), Digits(), 32),
    "ResNet-8 w8, digits, batch 32": experiment(CifarResNet(depth=8, width=8), Digits(), 32),
    "ResNet-8 w8, 32x32, batch 32": experiment(CifarResNet(depth=8, width=8), cifar_sized, 32),
    "ResNet-8 w16, 32x32, batch 128": experiment(CifarResNet(depth=8), cifar_sized, 128),
}


def measured(experiment: Experiment) -> dict[str, float]:
    """Measures the milliseconds of an update of one run, by strategy."""
    optimizer = experiment.optimizer
    rates = [0.01 * 2**k for k in range(RUNS)]
    members = [
        Member(
            dataclasses.replace(
                experiment, optimizer=dataclasses.replace(optimizer, lr=js.Cosine(lr, "100%"))
            ),
            seed=0,
        )
        for lr in rates
    ]
    dataset = experiment.task.data.load()
    ways = {way: prepare(members, dataset, way) for way in ("in_turn", "devices", "vmap")}
    turns = [
        {way: 1e3 * seconds_per_update(found, members, UPDATES) for way, found in ways.items()}
        for _ in range(TURNS)
    ]
    return {way: statistics.median(turn[way] for turn in turns) for way in ways}


if __name__ == "__main__":
    split_cpu()
    found = {}
    print("| ms an update of one of 8 runs | in turn | one a device | side by side (vmap) |")
    print("| --- | ---: | ---: | ---: |")
    for name, one in EXPERIMENTS.items():
        found[name] = measured(one)
        print(f"| {name} | {' | '.join(f'{ms:.2f}' for ms in found[name].values())} |")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    content = {"runs": RUNS, "milliseconds": found, "environment": environment()}
    RESULT.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
