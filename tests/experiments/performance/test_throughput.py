"""The throughput benchmark's counts, against figures worked out by hand."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
sys.path.insert(0, str(EXPERIMENTS / "performance" / "throughput"))

from throughput import median_ratio  # noqa: E402
from throughput_jax import FlaxNetwork, train_flop  # noqa: E402
from throughput_networks import NETWORKS  # noqa: E402
from throughput_worker import Job  # noqa: E402


def test_operations_of_resnet20_are_those_of_its_layers():
    stem = 32 * 32 * 9 * 3 * 16
    full = 32 * 32 * 9 * 16 * 16  # any 3×3 convolution that keeps its shape, at every stage
    forward = stem + 6 * full + 2 * (full // 2 + 5 * full) + 64 * 10
    assert train_flop(Job("flax", "resnet20", 128, "float32")) == 2 * (3 * forward - stem)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plain_network_has_the_same_parameters_and_outputs_as_ours(name):
    entry = NETWORKS[name]
    plain = FlaxNetwork(entry.architecture, entry.num_classes)
    image = jnp.zeros((1, entry.image_size, entry.image_size, 3))
    key = jax.random.key(0)
    theirs = jax.eval_shape(lambda x: plain.init(key, x, False), image)
    model = entry.ours.build(entry.num_classes)
    ours = jax.eval_shape(lambda: model.init(key, image.shape[1:]))
    for kind in "params", "batch_stats":
        shapes = [
            sorted(leaf.shape for leaf in jax.tree.leaves(variables[kind]))
            for variables in (ours, theirs)
        ]
        assert shapes[0] == shapes[1]
    logits = jax.eval_shape(lambda v: plain.apply(v, image, False), theirs)
    assert logits.shape == (1, entry.num_classes)


def test_ratios_are_taken_within_a_round():
    assert median_ratio([2.0, 20.0, 9.0], [1.0, 10.0, 1.0]) == 2.0
