"""A training loop to fork: a ResNet on digits with 1cycle, ABEL and SWA, in plain JAX.

    python experiments/minimal.py

It needs jax, flax, optax and jaxsched's extra `[train]` (for the digits), but no accelerator, no
files and no trainer. Test accuracy over four seeds: 96.2 ± 1.1 % with the last weights, 96.5 ±
0.9 % with their average.
"""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

import jaxsched as js
from jaxsched.data import Digits

EPOCHS, CYCLE, BATCH_SIZE = 20, 15, 32  # 1cycle in the first 15 epochs, then SWA


class ResNet(nn.Module):
    """Three residual blocks; `momentum` is that of batch norm's running statistics."""

    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Images f32[B, 8, 8, 1] to logits f32[B, 10]."""

        def conv(x, width, size, stride=1):
            x = nn.Conv(width, (size, size), stride, use_bias=False)(x)
            return nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x)

        x = nn.relu(conv(x, 8, 3))
        for width, stride in ((8, 1), (16, 2), (32, 2)):
            y = conv(nn.relu(conv(x, width, 3, stride)), width, 3)
            x = nn.relu(y + conv(x, width, 1, stride))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


def train(seed: int = 0) -> tuple[float, float]:
    """Trains; returns the test accuracy of the last weights and of their average."""
    data: Any = Digits().load()
    images, test_images = (
        ((split.images / 255 - data.mean) / data.std).astype(np.float32)
        for split in (data.train, data.test)
    )
    steps = len(images) // BATCH_SIZE  # updates in an epoch; a ragged last batch is dropped
    epoch, start = js.every(steps), CYCLE * steps
    lr = js.Sequence((js.OneCycle(0.4, duration=start), js.Constant(0.05)), boundaries=(start,))

    def late_epoch_ends(step: Any) -> Any:
        return (step >= start) & epoch(step + 1)

    tx = optax.chain(
        optax.add_decayed_weights(2e-3),
        optax.sgd(lr, momentum=0.9),
        js.scale_by_abel(decay_factor=0.2, at=epoch),  # decays when the weight norm bounces
        js.average_params(late_epoch_ends),  # SWA, always the last of a chain
    )

    @jax.jit
    def update(variables, opt_state, images, labels):
        def loss(params):
            inputs = variables | {"params": params}
            logits, new = ResNet().apply(inputs, images, train=True, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new

        gradients, new = jax.grad(loss, has_aux=True)(variables["params"])
        updates, opt_state = tx.update(gradients, opt_state, variables["params"])
        return new | {"params": optax.apply_updates(variables["params"], updates)}, opt_state

    @jax.jit
    def accuracy(variables):
        logits: Any = ResNet().apply(variables, test_images, train=False)
        return (logits.argmax(axis=1) == data.test.labels).mean()

    @jax.jit
    def with_own_statistics(variables):
        # The running statistics were collected from other weights than the average. With momentum
        # 0, one forward pass over all training images replaces them.
        network = ResNet(momentum=0.0)
        return variables | network.apply(variables, images, train=True, mutable=["batch_stats"])[1]

    variables = jax.jit(ResNet().init, static_argnums=2)(jax.random.key(seed), images[:1], False)
    opt_state, random = tx.init(variables["params"]), np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for batch in random.permutation(len(images))[: steps * BATCH_SIZE].reshape(steps, -1):
            labels = data.train.labels[batch]
            variables, opt_state = update(variables, opt_state, images[batch], labels)
    average = variables | {"params": js.averaged_params(opt_state, variables["params"])}
    return float(accuracy(variables)), float(accuracy(with_own_statistics(average)))


if __name__ == "__main__":
    print("test accuracy: last weights {:.2%}, average {:.2%}".format(*train()))
