"""Variables for the tests that compute, made without compiling an initialiser."""

import zlib

import jax
import numpy as np
import pytest


@pytest.fixture(scope="session")
def draw_variables():
    """`(model, image_shape) -> variables`: parameters of a trained network's order.

    Each is drawn from a seed of its own, its path; record_torchvision.py draws the same.
    """

    def draw(model, image_shape):
        def leaf(path, shape):
            name = ".".join(entry.key for entry in path[1:])
            normal = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape.shape)
            if name.endswith("kernel"):
                return (normal * np.sqrt(2 / np.prod(shape.shape[:-1]))).astype(np.float32)
            return (name.endswith(("scale", "var")) + 0.1 * normal).astype(np.float32)

        shapes = jax.eval_shape(lambda key: model.init(key, image_shape), jax.random.key(0))
        return jax.tree_util.tree_map_with_path(leaf, shapes)

    return draw
