"""The canonical convolution against direct sums, the stock gradient, and the clock."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from jaxsched.models.layers.convolution import canonical_convolution, convolution
from jaxsched.models.layers.target_platform import tracing_for

LAYOUT = ("NHWC", "HWIO", "NHWC")


def stock(images, kernel, strides, padding):
    return lax.conv_general_dilated(images, kernel, strides, padding, dimension_numbers=LAYOUT)


def direct(images, kernel, strides, padding, cotangent=None):
    """Output, and the gradients for the cotangent (default: ones), by sums over output pixels."""
    padded = np.pad(images, ((0, 0), *padding, (0, 0)))
    rows, columns = kernel.shape[:2]
    (down, across), (top, left) = strides, (padding[0][0], padding[1][0])
    height = (padded.shape[1] - rows) // down + 1
    width = (padded.shape[2] - columns) // across + 1
    output = np.zeros((len(images), height, width, kernel.shape[-1]))
    cotangent = np.ones_like(output) if cotangent is None else cotangent
    for_padded, for_kernel = np.zeros(padded.shape), np.zeros(kernel.shape)
    for i in range(height):
        for j in range(width):
            window = np.s_[:, i * down : i * down + rows, j * across : j * across + columns]
            output[:, i, j] = np.tensordot(padded[window], kernel, 3)
            for_padded[window] += np.einsum("uvcf,bf->buvc", kernel, cotangent[:, i, j])
            for_kernel += np.einsum("buvc,bf->uvcf", padded[window], cotangent[:, i, j])
    inside = for_padded[:, top : top + images.shape[1], left : left + images.shape[2]]
    return output, inside, for_kernel


@st.composite
def geometries(draw):
    """(images' shape, kernel's shape, strides, padding), with at least one output pixel."""
    kernel, pads, sides = [], [], []
    for _ in "height", "width":
        side = draw(st.integers(1, 5))
        pad = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
        kernel.append(side)
        pads.append(pad)
        sides.append(draw(st.integers(max(1, side - sum(pad)), 9)))
    batch, channels, features = (draw(st.integers(1, most)) for most in (3, 6, 3))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return (batch, *sides, channels), (*kernel, channels, features), strides, tuple(pads)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(geometries())
@example(((2, 8, 8, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1))))
@example(((2, 8, 6, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1))))
@example(((2, 8, 7, 3), (1, 1, 3, 4), (2, 2), ((0, 0), (0, 0))))
@example(((2, 5, 6, 5), (3, 3, 5, 4), (2, 1), ((1, 1), (1, 1))))  # Two neighbours at once.
@example(((2, 5, 8, 4), (2, 3, 4, 5), (1, 1), ((0, 1), (2, 0))))  # Four, and four in the gradient.
@example(((1, 4, 6, 17), (3, 3, 17, 2), (1, 1), ((1, 1), (1, 1))))  # Too wide for neighbours.
@example(((1, 9, 16, 3), (7, 7, 3, 2), (2, 2), ((3, 3), (3, 3))))
@example(((1, 3, 3, 2), (1, 1, 2, 2), (1, 1), ((2, 0), (1, 2))))  # Padding beyond the kernel.
@pytest.mark.slow
def test_values_and_gradients_are_exact_on_whole_numbers(geometry):
    """Sums of small whole numbers are exact in float32 in any order, so equality is exact too."""
    image_shape, kernel_shape, strides, padding = geometry
    random = np.random.default_rng(0)
    images, kernel = (
        random.integers(-4, 5, shape).astype(np.float32) for shape in (image_shape, kernel_shape)
    )
    cotangent = random.integers(-4, 5, stock(images, kernel, strides, padding).shape)
    cotangent = cotangent.astype(np.float32)
    expected = direct(images, kernel, strides, padding, cotangent)
    for convolve in canonical_convolution, stock:
        output, pull_back = jax.vjp(lambda x, w: convolve(x, w, strides, padding), images, kernel)  # noqa: B023
        for ours, theirs in zip((output, *pull_back(cotangent)), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_wide_forward_pass_is_the_stock_one_bit_for_bit():
    images = jax.random.normal(jax.random.key(0), (2, 9, 8, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 24))
    arguments = images, kernel, (2, 1), ((1, 1), (0, 2))
    np.testing.assert_array_equal(canonical_convolution(*arguments), stock(*arguments))


def test_gradients_of_real_numbers_match_float64_sums():
    images = jax.random.normal(jax.random.key(0), (4, 8, 8, 6))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 6, 5))
    strides, padding = (2, 2), ((1, 1), (1, 1))

    def total(images, kernel):
        return canonical_convolution(images, kernel, strides, padding).sum()

    ours = jax.grad(total, argnums=(0, 1))(images, kernel)
    _, *expected = direct(np.float64(images), np.float64(kernel), strides, padding)
    for gradient, reference in zip(ours, expected, strict=True):
        # Each is a sum of at most 4·4·4 products of order one, rounded at 6e-8.
        np.testing.assert_allclose(gradient, reference, rtol=1e-5, atol=1e-5)


def test_bfloat16_stays_bfloat16():
    images = jnp.ones((1, 4, 4, 2), jnp.bfloat16)
    kernel = jnp.ones((3, 3, 2, 2), jnp.bfloat16)
    output, pull_back = jax.vjp(
        lambda x, w: canonical_convolution(x, w, (1, 1), ((1, 1), (1, 1))), images, kernel
    )
    assert {array.dtype for array in (output, *pull_back(output))} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(
    ("side", "strides", "padding"),
    [(3, (2, 1), ((1, 1), (0, 2))), (1, (2, 2), ((0, 0), (0, 0)))],
)
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_a_wider_kernel_has_a_gradient_that_is_not_rounded(side, strides, padding, platform):
    """Compared with sums in float64 of the same rounded numbers: bfloat16 would round at 4e-3."""
    random = np.random.default_rng(0)
    images = jnp.asarray(random.normal(size=(4, 8, 7, 6)), jnp.bfloat16)
    kernel = jnp.asarray(random.normal(size=(side, side, 6, 5)), jnp.float32)
    with tracing_for(platform):
        output, pull_back = jax.vjp(
            lambda x, w: convolution(x, w, strides, padding), images, kernel
        )
        cotangent = jnp.asarray(random.normal(size=output.shape), jnp.bfloat16)
        for_images, for_kernel = pull_back(cotangent)
    assert (output.dtype, for_images.dtype, for_kernel.dtype) == ("bfloat16", "bfloat16", "float32")
    wide = (np.float64(array) for array in (images, kernel.astype(jnp.bfloat16), cotangent))
    images, kernel, cotangent = wide
    expected = direct(images, kernel, strides, padding, cotangent)
    np.testing.assert_allclose(for_kernel, expected[2], rtol=1e-5, atol=1e-5)
    for ours, theirs in (output, expected[0]), (for_images, expected[1]):
        np.testing.assert_allclose(np.float64(ours), theirs, rtol=2**-8, atol=2**-8)


def test_a_gpu_is_not_asked_for_products_that_it_lacks():
    images, kernel = jnp.ones((1, 4, 4, 2), jnp.bfloat16), jnp.ones((3, 3, 2, 2))

    def gradient(images, kernel):
        with tracing_for("gpu"):
            output, pull_back = jax.vjp(
                lambda x, w: convolution(x, w, (1, 1), ((1, 1), (1, 1))), images, kernel
            )
            return pull_back(output)

    text = jax.jit(gradient).lower(images, kernel).as_text()
    products = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(products) == 3 and "f32" not in "".join(products)


@pytest.mark.slow
def test_a_gradient_in_a_loop_costs_what_it_costs_outside():
    """At this size the stock convolution costs 14 times as much in the loop, ours the same."""
    images = jax.random.normal(jax.random.key(0), (8, 16, 16, 16))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 16, 16))
    loops = 8

    def step(_, arrays):
        def loss(images, kernel):
            return (convolution(images, kernel, (1, 1), ((1, 1), (1, 1))) ** 2).mean()

        return jax.tree.map(
            lambda x, g: x - 1e-3 * g, arrays, jax.grad(loss, argnums=(0, 1))(*arrays)
        )

    alone = jax.jit(lambda arrays: step(0, arrays))
    looped = jax.jit(lambda arrays: lax.fori_loop(0, loops, step, arrays))

    def seconds(function):
        jax.block_until_ready(function((images, kernel)))
        times = []
        for _ in range(10):
            start = time.perf_counter()
            jax.block_until_ready(function((images, kernel)))
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(looped) / loops < 5 * seconds(alone)


@pytest.mark.parametrize(("backend", "differentiable"), [("cpu", False), ("gpu", True)])
def test_forward_mode_works_everywhere_but_on_cpu(monkeypatch, backend, differentiable):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    images, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))

    def tangent():
        def along(kernel):
            return convolution(images, kernel, (1, 1), ((0, 0), (0, 0)))

        return jax.jvp(along, (kernel,), (kernel,))[1]

    if differentiable:
        np.testing.assert_array_equal(tangent(), 9)
    else:
        with pytest.raises(TypeError, match="custom_vjp"):
            tangent()
