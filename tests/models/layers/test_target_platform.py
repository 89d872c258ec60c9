"""A convolution takes the form of the platform that it is traced for."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxsched.models.layers.convolution import convolution
from jaxsched.models.layers.target_platform import target_platform, tracing_for

IMAGES, KERNEL = jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 8))
PADDING = ((1, 1), (1, 1))


def _traced(function) -> str:
    return str(jax.make_jaxpr(lambda images, kernel: function(images, kernel))(IMAGES, KERNEL))


def _ours(images, kernel):
    return convolution(images, kernel, (1, 1), PADDING)


def _plain(images, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(images, kernel, (1, 1), PADDING, dimension_numbers=layout)


@pytest.mark.parametrize("platform", ["tpu", "gpu"])
def test_off_the_cpu_it_is_the_plain_convolution(platform):
    with tracing_for(platform):
        assert _traced(_ours) == _traced(_plain)


def test_for_the_cpu_it_writes_its_own_gradient():
    with tracing_for("cpu"):
        assert "custom_vjp" in _traced(_ours)


def test_the_target_ends_with_the_block_even_on_an_error():
    with pytest.raises(ValueError, match="inside"), tracing_for("tpu"):
        raise ValueError("inside")
    assert target_platform() == jax.default_backend()
