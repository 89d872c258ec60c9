"""Our residual networks against torchvision's own, weight for weight."""

import json
import pathlib

import jax
import numpy as np
import pytest

from jaxsched.models import R9, BottleneckResNet

RECORDS = json.loads(pathlib.Path(__file__).with_name("torchvision.json").read_text())
IMAGES = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recorded", "network"),
    [("R9", R9), ("BottleneckResNet", BottleneckResNet(stages=(1, 1, 1, 1)))],
)
def test_logits_and_gradients_are_torchvisions(draw_variables, recorded, network):
    model = network.build(num_classes=10)
    variables = draw_variables(model, (32, 32, 3))
    keys = jax.random.split(jax.random.key(0), 4)

    @jax.jit
    def logits_and_gradient(params):
        def loss(params):
            logits, _ = model.train_logits({**variables, "params": params}, IMAGES, keys)
            likelihood = jax.nn.log_softmax(logits) * jax.nn.one_hot(np.arange(4), 10)
            return -likelihood.sum(1).mean(), logits

        gradient, logits = jax.grad(loss, has_aux=True)(params)
        return logits, gradient

    logits, gradient = logits_and_gradient(variables["params"])
    record = RECORDS[recorded]
    np.testing.assert_allclose(logits, record["logits"], rtol=1e-3, atol=1e-3)
    norms = {
        ".".join(entry.key for entry in path): np.linalg.norm(leaf)
        for path, leaf in jax.tree.leaves_with_path(gradient)
    }
    assert norms == pytest.approx(record["gradient_norms"], rel=2e-3, abs=1e-6)
