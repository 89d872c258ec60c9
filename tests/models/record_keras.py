"""Writes keras.json: the results of Keras's own Inception-ResNet-v2 for weights that are drawn.

python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0 keras==3.15.1
/tmp/tf/bin/python tests/models/record_keras.py
"""

import json
import pathlib
import re
import zlib
from collections import defaultdict

import numpy as np

IMAGES = np.random.default_rng(1).normal(size=(2, 75, 75, 3)).astype(np.float32)
# Keras's name, ours, and the number of each kind of residual block.
BLOCKS = (("block35", "a", 10), ("block17", "b", 20), ("block8", "c", 10))
# The numbers of convolutions in the branches of each kind of block.
BRANCHES = {
    "mixed": (1, 2, 3), "a": (1, 2, 3), "reduction_a": (1, 3), "b": (1, 3),
    "reduction_b": (2, 2, 3), "c": (1, 3),
}  # fmt: skip


def our_names():
    """The paths in our tree of Keras's convolutions with a norm, in the order of their creation."""

    def branches(name, kind):
        for branch, count in enumerate(BRANCHES[kind], 1):
            yield from (f"{name}.branch{branch}.conv{n}" for n in range(1, count + 1))

    yield from (f"stem1.conv{n}" for n in (1, 2, 3))
    yield from (f"stem2.conv{n}" for n in (1, 2))
    yield from branches("mixed", "mixed")
    yield "mixed_pooled.conv1"
    for _, kind, count in BLOCKS:
        for number in range(1, count + 1):
            yield from branches(f"{kind}_block{number}.mixed", kind)
        if kind != "c":
            yield from branches(f"reduction_{kind}", f"reduction_{kind}")
    yield "last.conv1"


def draw(name, shape):
    """The parameter of that path from a seed of its own, as conftest.py draws it."""
    normal = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    if name.endswith("kernel"):
        return normal * np.sqrt(2 / np.prod(shape[:-1]))
    return name.endswith("var") + 0.1 * normal


def set_weights(model):
    """Draws all weights; returns the number of trainable ones in each of our outermost modules."""
    names, counts = iter(our_names()), defaultdict(int)

    def put(layer, name, weights):
        shapes = [weight.shape for weight in layer.get_weights()]
        values = [draw(f"{name}.{w}", s) for w, s in zip(weights, shapes, strict=True)]
        # As float32, because ours are.
        layer.set_weights([value.astype(np.float32) for value in values])
        counts[name.split(".")[0]] += layer.count_params() if layer.trainable_weights else 0

    def created(layer):
        return int((re.search(r"_(\d+)$", layer.name) or [0, 0])[1])

    def all_of(kind):
        found = [one for one in model.layers if re.fullmatch(rf"{kind}(_\d+)?", one.name)]
        return sorted(found, key=created)

    convolutions, norms = all_of("conv2d"), all_of("batch_normalization")
    convolutions.append(model.get_layer("conv_7b"))
    norms.append(model.get_layer("conv_7b_bn"))
    for convolution, norm in zip(convolutions, norms, strict=True):
        name = next(names)
        put(convolution, name, ["kernel"])
        norm_name = name.replace("conv", "norm")
        put(norm, norm_name, ["bias", "mean", "var"])
        counts[name.split(".")[0]] -= sum(w.shape[0] for w in norm.non_trainable_weights)
    for theirs, ours, count in BLOCKS:
        for number in range(1, count + 1):
            layer = model.get_layer(f"{theirs}_{number}_conv")
            put(layer, f"{ours}_block{number}.up", ["kernel", "bias"])
    put(model.get_layer("predictions"), "head", ["kernel", "bias"])
    assert next(names, None) is None
    return counts


def main():
    """Logits in evaluation mode, in float64."""
    import keras

    keras.config.set_floatx("float64")
    model = keras.applications.InceptionResNetV2(
        weights=None, input_shape=IMAGES.shape[1:], classes=10, classifier_activation=None
    )
    counts = set_weights(model)
    logits = np.asarray(model(np.float64(IMAGES), training=False))
    record = {"logits": logits.tolist(), "parameters": dict(sorted(counts.items()))}
    text = json.dumps(record, indent=1)
    pathlib.Path(__file__).with_name("keras.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
