"""Variables for the tests that compute, made without compiling an initialiser."""

import jax
import numpy as np
import pytest


@pytest.fixture(scope="session")
def draw_variables():
    """`(model, image_shape) -> variables`: random parameters of a trained network's order."""

    def draw(model, image_shape):
        shapes = jax.eval_shape(lambda key: model.init(key, image_shape), jax.random.key(0))
        random = np.random.default_rng(0)

        def leaf(path, shape):
            normal = random.normal(size=shape.shape).astype(np.float32)
            if path[-1].key == "kernel":
                return normal * np.float32(np.sqrt(2 / np.prod(shape.shape[:-1])))
            return (path[-1].key in ("scale", "var")) + np.float32(0.1) * normal

        return jax.tree_util.tree_map_with_path(leaf, shapes)

    return draw
