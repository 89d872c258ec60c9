"""ResNet-8, WRN-10-1, Shake-Shake and PyramidNet against the same networks in float64 NumPy."""

import jax
import numpy as np
import pytest

from jaxsched.models import CifarResNet, PyramidNet, ShakeShake, WideResNet

LABELS = np.array([0, 1, 2, 0])
# Rectangular and of odd height.
IMAGES = np.random.default_rng(1).normal(size=(4, 9, 6, 2)).astype(np.float32)
KEYS = jax.random.split(jax.random.key(0), 4)


def convolve(x, kernel, stride):
    """3×3 with one pixel of zeros on every side, as one sum for each place in the kernel."""
    if kernel.shape[0] == 1:
        return x[:, ::stride, ::stride] @ kernel[0, 0]
    height, width = ((side - 1) // stride + 1 for side in x.shape[1:3])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(
        padded[:, u : u + stride * height : stride, v : v + stride * width : stride] @ kernel[u, v]
        for u in range(3)
        for v in range(3)
    )


def batch_norm(x, norm):
    standard = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    return standard * norm["scale"] + norm["bias"]


def block(x, layers, stride):
    y = batch_norm(convolve(x, layers["conv1"]["kernel"], stride), layers["norm1"])
    y = batch_norm(convolve(np.maximum(y, 0), layers["conv2"]["kernel"], 1), layers["norm2"])
    shortcut = np.zeros_like(y)
    shortcut[..., : x.shape[-1]] = x[:, ::stride, ::stride]
    return np.maximum(y + shortcut, 0)


def wide_block(x, layers, stride):
    active = np.maximum(batch_norm(x, layers["norm1"]), 0)
    y = batch_norm(convolve(active, layers["conv1"]["kernel"], stride), layers["norm2"])
    y = convolve(np.maximum(y, 0), layers["conv2"]["kernel"], 1)
    if "shortcut_conv" in layers:
        x = active[:, ::stride, ::stride] @ layers["shortcut_conv"]["kernel"][0, 0]
    return x + y


def wide_logits(params, images):
    x = convolve(images, params["stem_conv"]["kernel"], 1)
    for stage, stride in (1, 1), (2, 2), (3, 2):
        x = wide_block(x, params[f"stage{stage}_block1"], stride)
    x = np.maximum(batch_norm(x, params["last_norm"]), 0)
    return x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]


def logits(params, images):
    x = convolve(images, params["stem_conv"]["kernel"], 1)
    x = np.maximum(batch_norm(x, params["stem_norm"]), 0)
    for stage, stride in (1, 1), (2, 2), (3, 2):
        x = block(x, params[f"stage{stage}_block1"], stride)
    return x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]


def cross_entropy(params):
    scores = logits(params, np.float64(IMAGES))
    return (np.log(np.exp(scores).sum(1)) - scores[np.arange(4), LABELS]).mean()


def uniform(layer, count):
    """The numbers that each example draws in a layer, [count, B, 1, 1, 1]."""
    drawn = [jax.random.uniform(jax.random.fold_in(key, layer), (count,)) for key in KEYS]
    return np.float64(drawn).T[..., None, None, None]


def shake_shake_logits(params, images):
    x = batch_norm(convolve(images, params["stem_conv"]["kernel"], 1), params["stem_norm"])
    for index, stride in enumerate((1, 2, 2)):
        layers = params[f"stage{index + 1}_block1"]
        active, branches = np.maximum(x, 0), []
        for branch in ("branch1", "branch2"):
            y = convolve(active, layers[f"{branch}_conv1"]["kernel"], stride)
            y = np.maximum(batch_norm(y, layers[f"{branch}_norm1"]), 0)
            y = convolve(y, layers[f"{branch}_conv2"]["kernel"], 1)
            branches.append(batch_norm(y, layers[f"{branch}_norm2"]))
        moved = np.zeros_like(active)
        moved[:, 1:, 1:] = active[:, :-1, :-1]
        halves = [
            convolve(seen, layers[f"shortcut_conv{number}"]["kernel"], stride)
            for number, seen in ((1, active), (2, moved))
        ]
        alpha = uniform(index, 2)[0]
        x = alpha * branches[0] + (1 - alpha) * branches[1]
        x = x + batch_norm(np.concatenate(halves, -1), layers["shortcut_norm"])
    return np.maximum(x, 0).mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]


def pyramid_logits(params, images, strides, rate):
    """`strides` of the blocks' convolutions, one tuple a block."""
    x = batch_norm(convolve(images, params["stem_conv"]["kernel"], 1), params["stem_norm"])
    for index, block_strides in enumerate(strides):
        layers = params[f"stage{index + 1}_block1"]
        y = batch_norm(x, layers["norm1"])
        for number, stride in enumerate(block_strides, 1):
            y = convolve(
                y if number == 1 else np.maximum(y, 0), layers[f"conv{number}"]["kernel"], stride
            )
            y = batch_norm(y, layers[f"norm{number + 1}"])
        chance, alpha, _ = uniform(index, 3)
        y = y * np.where(chance >= rate * (index + 1) / len(strides), 1, 2 * alpha - 1)
        y[..., : x.shape[-1]] += x if y.shape[1:3] == x.shape[1:3] else halved(x)
        x = y
    x = np.maximum(batch_norm(x, params["last_norm"]), 0)
    return x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]


def halved(x):
    """The means of 2×2 pixels, of fewer at the end of an odd side."""
    rows, columns = (range(0, side, 2) for side in x.shape[1:3])
    means = [[x[:, i : i + 2, j : j + 2].mean((1, 2)) for j in columns] for i in rows]
    return np.moveaxis(np.array(means), 2, 0)


@pytest.fixture(scope="module")
def computed(draw_variables):
    """(params, logits, gradient) of our ResNet-8."""
    model = CifarResNet(depth=8, width=4).build(num_classes=3)
    variables = draw_variables(model, IMAGES.shape[1:])

    def loss(params):
        scores, _ = model.train_logits({**variables, "params": params}, IMAGES, KEYS)
        likelihood = jax.nn.log_softmax(scores) * jax.nn.one_hot(LABELS, 3)
        return -likelihood.sum(1).mean(), scores

    gradient, scores = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    params = jax.tree.map(np.float64, variables["params"])
    return params, scores, jax.tree.map(np.asarray, gradient)


def test_resnet_logits(computed):
    params, ours, _ = computed
    np.testing.assert_allclose(ours, logits(params, np.float64(IMAGES)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_wide_logits(draw_variables):
    """Stage 1 of widen=1 has the identity as its shortcut, the others a convolution."""
    model = WideResNet(depth=10, widen=1).build(num_classes=3)
    variables = draw_variables(model, IMAGES.shape[1:])
    ours, _ = jax.jit(model.train_logits)(variables, IMAGES, KEYS)
    expected = wide_logits(jax.tree.map(np.float64, variables["params"]), np.float64(IMAGES))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_shake_shake_logits(draw_variables):
    model = ShakeShake(depth=8, width=4).build(num_classes=3)
    variables = draw_variables(model, IMAGES.shape[1:])
    ours, _ = jax.jit(model.train_logits)(variables, IMAGES, KEYS)
    params = jax.tree.map(np.float64, variables["params"])
    expected = shake_shake_logits(params, np.float64(IMAGES))
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "strides"),
    [
        (PyramidNet(8, alpha=10, shake_drop=0.9), ((1, 1), (2, 1), (2, 1))),
        (PyramidNet(11, 10, bottleneck=True, shake_drop=0.9), ((1, 1, 1), (1, 2, 1), (1, 2, 1))),
    ],
)
def test_pyramid_net_logits(draw_variables, network, strides):
    model = network.build(num_classes=3)
    variables = draw_variables(model, IMAGES.shape[1:])
    ours, _ = jax.jit(model.train_logits)(variables, IMAGES, KEYS)
    params = jax.tree.map(np.float64, variables["params"])
    assert [params[f"stage{n}_block1"]["conv1"]["kernel"].shape[-1] for n in (1, 2, 3)] == [
        19,
        23,
        26,
    ]  # 16 + 10 · (1, 2, 3) / 3, rounded
    expected = pyramid_logits(params, np.float64(IMAGES), strides, rate=0.9)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "path",
    [
        ("stem_conv", "kernel"),
        ("stage1_block1", "norm2", "bias"),
        ("stage2_block1", "conv1", "kernel"),
        ("stage3_block1", "norm1", "scale"),
        ("stage3_block1", "conv2", "kernel"),
        ("head", "kernel"),
    ],
)
def test_gradient_against_finite_differences(computed, path):
    params, _, gradient = computed
    leaf, ours = params, gradient
    for name in path:
        leaf, ours = leaf[name], ours[name]
    largest = np.unravel_index(np.abs(ours).argmax(), ours.shape)
    for index in largest, tuple(0 for _ in leaf.shape):
        before, losses = leaf[index], []
        for step in 1e-6, -1e-6:
            leaf[index] = before + step
            losses.append(cross_entropy(params))
        leaf[index] = before
        assert ours[index] == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-3, abs=1e-5)
