"""Our Inception-ResNet-v2 against Keras's own, weight for weight (record_keras.py)."""

import json
import pathlib

import jax
import numpy as np
import pytest

from jaxsched.models import InceptionResNet

RECORD = json.loads(pathlib.Path(__file__).with_name("keras.json").read_text())
IMAGES = np.random.default_rng(1).normal(size=(2, 75, 75, 3)).astype(np.float32)


@pytest.mark.slow
def test_logits_are_kerass(draw_variables):
    model = InceptionResNet().build(num_classes=10)
    variables = draw_variables(model, IMAGES.shape[1:])
    # Keras trains no scale.
    variables = jax.tree.map_with_path(
        lambda path, leaf: np.ones_like(leaf) if path[-1].key == "scale" else leaf, variables
    )
    logits = jax.jit(model.eval_logits)(variables, IMAGES)
    expected = np.array(RECORD["logits"])
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3 * np.std(expected))


@pytest.mark.slow
def test_each_block_has_kerass_number_of_parameters():
    model = InceptionResNet().build(num_classes=10)
    shapes = jax.eval_shape(lambda key: model.init(key, (299, 299, 3)), jax.random.key(0))
    counts = {
        name: sum(
            leaf.size for path, leaf in jax.tree.leaves_with_path(block) if path[-1].key != "scale"
        )
        for name, block in shapes["params"].items()
    }
    assert counts == RECORD["parameters"]


def test_dropout_is_of_the_pooled_features_of_each_example(draw_variables):
    model = InceptionResNet((1, 1, 1), dropout=0.5).build(num_classes=10)
    shapes = jax.eval_shape(lambda key: model.init(key, (75, 75, 3)), jax.random.key(0))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
    program = str(jax.make_jaxpr(model.train_logits)(shapes, IMAGES, keys))
    assert (
        program.count("random_bits") == 1 and "random_bits[bit_width=32 shape=(1536,)]" in program
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InceptionResNet((1, 0, 1)), r"at least one block each, got stages=\(1, 0, 1\)"),
        (lambda: InceptionResNet(dropout=1.0), r"a dropout within \[0, 1\), got dropout=1.0"),
        (
            lambda: InceptionResNet().build(10).init(jax.random.key(0), (74, 80, 3)),
            r"at least 75 x 75 pixels, got an image shape of \(74, 80, 3\)",
        ),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
