"""The options keep what a convolution's gradient keeps, and change no number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxsched.models.layers.compiler_options import compiler_options
from jaxsched.models.layers.convolution import convolution
from jaxsched.train.distributed.jit import JitDriver
from jaxsched.train.distributed.pmap import PmapDriver
from jaxsched.train.distributed.population import MembersDriver


def test_images_are_kept_for_the_kernels_gradient_with_the_same_bits():
    def loss(kernels, x):
        for kernel in kernels:
            y = convolution(x, kernel, (1, 1), ((1, 1), (1, 1)))
            scale = 1 / jnp.sqrt(jnp.square(y).mean((0, 1, 2), keepdims=True) + 1e-5)
            x = jax.nn.relu(x + y * scale)
        return jnp.square(x).sum()

    keys = jax.random.split(jax.random.key(0), 4)
    kernels = [jax.random.normal(key, (3, 3, 8, 8)) for key in keys[1:]]
    images = jax.random.normal(keys[0], (2, 4, 4, 8))
    lowered = jax.jit(jax.grad(loss)).lower(kernels, images)
    options = compiler_options()
    without = {name: value for name, value in options.items() if name != "xla_disable_hlo_passes"}
    plain, kept = lowered.compile(without), lowered.compile(options)
    assert str(kept.as_text()).count("opt-barrier(") == len(kernels)
    for ours, theirs in zip(kept(kernels, images), plain(kernels, images), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("make", [JitDriver, PmapDriver, MembersDriver])
def test_every_driver_compiles_with_them(make):
    driver = make(jax.devices()[:1])
    compiled = driver.compile(lambda shard, x: lax.optimization_barrier(x * 2) + 1, jnp.ones(3))
    assert "opt-barrier(" in getattr(compiled, "func", compiled).as_text()


def test_eigen_convolves_where_ynn_is_slow():
    images, kernel = jnp.ones((2, 8, 8, 16)), jnp.ones((3, 3, 16, 16))
    lowered = jax.jit(lambda x, w: convolution(x, w, (1, 1), ((1, 1), (1, 1)))).lower(
        images, kernel
    )
    by_default, ours = lowered.compile(), lowered.compile(compiler_options())
    # In jax 0.11 YNN's convolutions became slower than Eigen's, see convolutions.md.
    is_slow = jax.__version_info__ >= (0, 11)
    assert "__ynn_fusion" in by_default.as_text()
    assert ("__ynn_fusion" in ours.as_text()) != is_slow
    np.testing.assert_array_equal(ours(images, kernel), by_default(images, kernel))
