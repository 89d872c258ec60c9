"""The convolution on blocks of pixels against the ordinary one, in float64."""

import dataclasses

import jax
import numpy as np
import pytest
from jax import lax

from jaxsched.models import BottleneckResNet
from jaxsched.models.layers.space_to_depth import space_to_depth_convolution


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "side", "strides", "padding"),
    [
        ((2, 12, 10, 3), 7, (2, 2), ((3, 3), (3, 3))),  # the stem of ResNet-50
        ((2, 11, 9, 3), 7, (2, 2), ((3, 3), (3, 3))),
        ((1, 9, 12, 2), 5, (3, 2), ((2, 0), (1, 4))),  # a last row that no output sees
    ],
)
def test_values_and_gradients_are_those_of_the_ordinary_convolution(shape, side, strides, padding):
    random = np.random.default_rng(0)
    with jax.enable_x64(True):
        images, kernel = random.normal(size=shape), random.normal(size=(side, side, shape[-1], 4))

        def ordinary(images, kernel):
            labels = ("NHWC", "HWIO", "NHWC")
            return lax.conv_general_dilated(
                images, kernel, strides, padding, dimension_numbers=labels
            )

        def blocked(images, kernel):
            return space_to_depth_convolution(images, kernel, strides, padding)

        expected, pull_back = jax.vjp(ordinary, images, kernel)
        found, our_pull_back = jax.vjp(blocked, images, kernel)
        cotangent = random.normal(size=expected.shape)
        pairs = zip(
            (found, *our_pull_back(cotangent)), (expected, *pull_back(cotangent)), strict=True
        )
        for ours, theirs in pairs:
            assert ours.dtype == np.float64
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_network_keeps_its_parameters_and_its_function(draw_variables):
    ordinary = BottleneckResNet(stages=(1,), width=4)
    models = [
        network.build(num_classes=3)
        for network in (ordinary, dataclasses.replace(ordinary, space_to_depth=True))
    ]
    variables = draw_variables(models[0], (16, 16, 3))
    images = np.random.default_rng(1).normal(size=(2, 16, 16, 3)).astype(np.float32)
    assert jax.tree.map(np.shape, draw_variables(models[1], (16, 16, 3))) == jax.tree.map(
        np.shape, variables
    )
    expected, ours = (model.eval_logits(variables, images) for model in models)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
