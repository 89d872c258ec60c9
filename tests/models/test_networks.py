"""Properties of every network: published sizes, shapes, dtypes, initial weights, errors."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsched.models import (
    R9,
    R18,
    RESNET50,
    BatchNorm,
    BottleneckResNet,
    CifarResNet,
    GroupNorm,
    PyramidNet,
    ResNet,
    ShakeShake,
    WideResNet,
)

SMALL = [
    CifarResNet(depth=8, width=4),
    CifarResNet(depth=8, width=4, norm=GroupNorm()),
    CifarResNet(depth=8, width=4, norm=BatchNorm(ghost=5)),
    ResNet(stages=(1, 1), width=4),
    WideResNet(depth=10, widen=1, dropout=0.3),
    BottleneckResNet(stages=(1, 1), width=4),
    ShakeShake(depth=8, width=4, norm=BatchNorm(ghost=5)),
    PyramidNet(depth=8, alpha=12, shake_drop=0.5),
    PyramidNet(depth=11, alpha=12, bottleneck=True),
]


def shapes(network, image_shape, num_classes=10):
    """The variables' shapes, without computing anything."""
    model = network.build(num_classes)
    return jax.eval_shape(lambda key: model.init(key, image_shape), jax.random.key(0))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("network", "num_classes", "side", "published"),
    [
        # 0.27, 0.46, 0.66, 0.85 and 1.7 million in He et al. (arXiv 1512.03385), table 6; counted
        # by hand in the next test.
        (CifarResNet(20), 10, 32, 269_722),
        (CifarResNet(32), 10, 32, 464_154),
        (CifarResNet(44), 10, 32, 658_586),
        (CifarResNet(56), 10, 32, 853_018),
        (CifarResNet(110), 10, 32, 1_727_962),
        # Torchvision's 11,689,512, less the 7×7 stem and 1000 classes, with 3×3 and 10.
        (R18, 10, 32, 11_689_512 - 64 * 3 * (7 * 7 - 3 * 3) - 990 * (512 + 1)),
        # Half of R18's blocks: without 2 convolutions and 2 norms a stage.
        (R9, 10, 32, 11_173_962 - sum(18 * c * c + 4 * c for c in (64, 128, 256, 512))),
        # 2.7 and 36.5 million in Zagoruyko and Komodakis (arXiv 1605.07146), tables 4 and 5;
        # counted by hand below.
        (WideResNet(16, 4), 10, 32, 2_748_890),
        (WideResNet(28, 10), 10, 32, 36_479_194),
        (RESNET50, 1000, 224, 25_557_032),  # Torchvision.
        # 2.9, 11.7 and 26.2 million in Gastaldi (arXiv 1705.07485); counted by hand below.
        (ShakeShake(26, 32), 10, 32, 2_923_162),
        pytest.param(ShakeShake(26, 96), 10, 32, 26_192_922, marks=pytest.mark.slow),
        # Sémery's imgclsmob (github.com/osmr/imgclsmob); 1.7, 28.3, 27.0 and 26.0 million in Han
        # et al. (arXiv 1610.02915).
        (PyramidNet(110, 48), 10, 32, 1_772_706),
        pytest.param(PyramidNet(110, 270), 10, 32, 28_485_477, marks=pytest.mark.slow),
        pytest.param(
            PyramidNet(272, 200, bottleneck=True), 10, 32, 26_210_842, marks=pytest.mark.slow
        ),
    ],
)
def test_published_parameter_counts(network, num_classes, side, published):
    assert count(shapes(network, (side, side, 3), num_classes)["params"]) == published


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_cifar_resnet_parameters_by_arithmetic(depth):
    n = (depth - 2) // 6
    convolutions = 9 * (3 * 16 + 2 * n * 16**2 + 16 * 32 + (2 * n - 1) * 32**2)
    convolutions += 9 * (32 * 64 + (2 * n - 1) * 64**2)
    norms = 2 * (16 + 2 * n * (16 + 32 + 64))
    assert count(shapes(CifarResNet(depth), (32, 32, 3))["params"]) == (
        convolutions + norms + 64 * 10 + 10
    )


@pytest.mark.parametrize(("depth", "widen"), [(16, 4), (28, 10)])
def test_wide_resnet_parameters_by_arithmetic(depth, widen):
    n = (depth - 4) // 6
    total = 9 * 3 * 16
    inside = 16
    for outside in (16 * widen, 32 * widen, 64 * widen):
        convolutions = 9 * outside * (inside + (2 * n - 1) * outside) + inside * outside
        total += convolutions + 2 * (inside + (2 * n - 1) * outside)
        inside = outside
    total += 2 * inside + 10 * inside + 10
    assert count(shapes(WideResNet(depth, widen), (32, 32, 3))["params"]) == total


@pytest.mark.parametrize("width", [32, 96])
def test_shake_shake_parameters_by_arithmetic(width):
    total, inside = 9 * 3 * 16 + 2 * 16, 16
    for outside in (width, 2 * width, 4 * width):
        convolutions = 2 * 9 * outside * (inside + 7 * outside) + inside * outside
        total += convolutions + 2 * outside * (4 * 2 * 2 + 1)
        inside = outside
    total += 10 * inside + 10
    assert count(shapes(ShakeShake(26, width), (32, 32, 3))["params"]) == total


@pytest.mark.parametrize("network", SMALL, ids=repr)
@pytest.mark.parametrize("image_shape", [(8, 8, 1), (17, 9, 3)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_logits_and_statistics_are_float32_of_the_right_shape(network, image_shape, dtype):
    model = network.build(num_classes=7, dtype=dtype)
    variables = shapes(network, image_shape, num_classes=7)
    images = jax.ShapeDtypeStruct((5, *image_shape), jnp.float32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 5))
    logits, batch_stats = jax.eval_shape(model.train_logits, variables, images, keys)
    expected = jax.ShapeDtypeStruct((5, 7), jnp.float32)
    assert logits == jax.eval_shape(model.eval_logits, variables, images) == expected
    assert jax.tree.leaves_with_path(batch_stats) == jax.tree.leaves_with_path(
        variables["batch_stats"]
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("network", "side", "sides"),
    [
        (CifarResNet(8), 32, [32, 16, 8]),
        (R18, 32, [32, 16, 8, 4]),
        (WideResNet(10, 1), 32, [32, 16, 8]),
        (RESNET50, 224, [56, 28, 14, 7]),
    ],
)
def test_stages_have_the_published_sides(network, side, sides):
    model = network.build(10)
    variables = shapes(network, (side, side, 3))
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    program = str(jax.make_jaxpr(model.eval_logits)(variables, images))
    convolved = re.findall(r"f32\[1,(\d+),\d+,\d+\] = conv_general_dilated", program)
    assert sorted({int(found) for found in convolved} - {112}, reverse=True) == sides


@pytest.mark.slow
def test_bfloat16_is_close_to_float32(draw_variables):
    network = CifarResNet(depth=8, width=8)
    variables = draw_variables(network.build(4), (8, 8, 3))
    images = jax.random.normal(jax.random.key(1), (16, 8, 8, 3))
    keys = jax.random.split(jax.random.key(0), len(images))
    exact, rounded = (
        jax.jit(network.build(4, dtype=dtype).train_logits)(variables, images, keys)
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    # Eight significant bits: a relative error of 1/256 at each of nine layers.
    spread = np.std(exact[0])
    assert 0 < np.abs(exact[0] - rounded[0]).max() < 9 / 256 * 4 * spread
    for ours, theirs in zip(jax.tree.leaves(rounded[1]), jax.tree.leaves(exact[1]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.01)


@pytest.mark.slow
def test_initial_weights():
    model = ResNet(stages=(1,), width=64).build(10)
    params = model.init(jax.random.key(0), (8, 8, 3))["params"]
    kernel = params["stem_conv"]["kernel"]
    assert kernel.shape == (3, 3, 3, 64)
    # The standard error of a standard deviation of n normal numbers is 1 / √(2n) of it.
    assert np.std(kernel) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=5 / np.sqrt(2 * kernel.size))
    head = params["head"]
    assert 0.8 < np.abs(head["kernel"]).max() * np.sqrt(64) <= 1
    assert 0.1 < np.abs(head["bias"]).max() * np.sqrt(64) <= 1


@pytest.mark.parametrize(
    ("network", "zero"),
    [
        (ResNet(stages=(1,), width=4), set()),
        (ResNet(stages=(1,), width=4, zero_init_residual=True), {"norm2"}),
        pytest.param(
            CifarResNet(8, width=4, zero_init_residual=True), {"norm2"}, marks=pytest.mark.slow
        ),
        (BottleneckResNet(stages=(1,), width=4), {"norm3"}),
        (BottleneckResNet(stages=(1,), width=4, zero_init_residual=False), set()),
    ],
)
def test_zero_init_residual_starts_each_block_as_its_shortcut(network, zero):
    block = network.build(3).init(jax.random.key(0), (8, 8, 1))["params"]["stage1_block1"]
    scales = {name: layer["scale"] for name, layer in block.items() if "norm" in name}
    assert {name for name, scale in scales.items() if not scale.any()} == zero
    assert {name for name, scale in scales.items() if (scale == 1).all()} == set(scales) - zero


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        WideResNet(10, 1, dropout=0.3, norm=GroupNorm()),
        ShakeShake(8, 4, norm=GroupNorm()),
        PyramidNet(8, 6, shake_drop=0.9, norm=BatchNorm(ghost=2)),
    ],
    ids=repr,
)
def test_randomness_of_a_network_is_an_examples_own(draw_variables, network):
    """With group norm one's logits depend on its pixels and key, with ghost norm on its group."""
    model = network.build(3)
    variables = draw_variables(model, (8, 8, 1))
    images = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    keys = jax.random.split(jax.random.key(2), 4)
    train = jax.jit(lambda images, keys: model.train_logits(variables, images, keys)[0])
    logits = train(images, keys)
    np.testing.assert_allclose(train(images[::-1], keys[::-1])[::-1], logits, rtol=1e-4, atol=1e-5)
    assert (np.abs(train(images, keys[::-1]) - logits).max(axis=1) > 0.01).all()


@pytest.mark.parametrize("network", [*SMALL, R18, RESNET50], ids=repr)
def test_a_spec_prints_as_its_code_and_hashes(network):
    names = {"BatchNorm": BatchNorm, "GroupNorm": GroupNorm, type(network).__name__: type(network)}
    again = eval(repr(network), names)
    assert again == network
    assert hash(again) == hash(network)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CifarResNet(depth=21), r"6n \+ 2 .* got depth=21; the nearest is 20 or 26"),
        (lambda: CifarResNet(depth=2), "got depth=2; the nearest is 8"),
        (lambda: CifarResNet(width=0), "CifarResNet needs a width of at least 1, got width=0"),
        (lambda: WideResNet(depth=20), r"6n \+ 4 .* got depth=20; the nearest is 16 or 22"),
        (lambda: WideResNet(widen=0), "widen of at least 1"),
        (lambda: WideResNet(dropout=1.0), r"dropout within \[0, 1\), got dropout=1.0"),
        (lambda: WideResNet(dropout=-0.1), "got dropout=-0.1"),
        (lambda: WideResNet(dropout=float("nan")), "got dropout=nan"),
        (lambda: WideResNet(norm=GroupNorm(5)), "for 16 channels"),
        (lambda: ShakeShake(depth=27), r"6n \+ 2 .* got depth=27; the nearest is 26 or 32"),
        (lambda: ShakeShake(width=33), "ShakeShake needs an even width, .* got width=33"),
        (lambda: PyramidNet(depth=112), r"6n \+ 2 .* got depth=112; the nearest is 110 or 116"),
        (lambda: PyramidNet(112, bottleneck=True), r"9n \+ 2 .* the nearest is 110 or 119"),
        (lambda: PyramidNet(alpha=0), "PyramidNet needs a alpha of at least 1, got alpha=0"),
        (lambda: PyramidNet(shake_drop=1.0), r"a shake_drop within \[0, 1\), got shake_drop=1.0"),
        (lambda: PyramidNet(norm=GroupNorm()), "for 17 channels"),
        (lambda: ResNet(stages=()), r"at least one block each, got stages=\(\)"),
        (lambda: ResNet(stages=(2, 0)), r"got stages=\(2, 0\)"),
        (lambda: ResNet(width=6, norm=GroupNorm()), "for 6 channels"),
        (lambda: BottleneckResNet(stages=(0,)), r"got stages=\(0,\)"),
        (lambda: BottleneckResNet(width=-1), "got width=-1"),
        (lambda: R18.build(num_classes=1), "at least 2 classes, got num_classes=1"),
        (lambda: shapes(CifarResNet(8), (3, 32, 32)), r"at least 4 x 4 pixels, .*\(3, 32, 32\)"),
        (lambda: shapes(R18, (4, 8, 3)), "at least 8 x 8 pixels"),
        (lambda: shapes(WideResNet(), (8, 2, 3)), "at least 4 x 4 pixels"),
        (lambda: shapes(RESNET50, (31, 224, 3)), "at least 32 x 32 pixels"),
        (lambda: shapes(R18, (32, 32)), r"\(height, width, channels\), got \(32, 32\)"),
    ],
)
def test_errors_name_what_was_given_and_the_fix(make, message):
    with pytest.raises(ValueError, match=message):
        make()
