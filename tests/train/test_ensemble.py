"""The mean of the members' probabilities, against softmax of their logits in float64."""

import jax
import numpy as np
import pytest

from jaxsched.train import evaluate_ensemble


@pytest.fixture(scope="module")
def members(program):
    return [program.init(seed).variables for seed in (0, 1, 2)]


def softmax(logits):
    exponents = np.exp(np.float64(logits) - np.float64(logits).max(1, keepdims=True))
    return exponents / exponents.sum(1, keepdims=True)


def test_the_mean_of_the_probabilities_is_evaluated(experiment, program, members):
    test = program.dataset.test
    mean, std = np.array(program.dataset.mean), np.array(program.dataset.std)
    images = ((test.images / 255 - mean) / std).astype(np.float32)
    logits = jax.jit(experiment.task.model.build(4).eval_logits)
    p = np.mean([softmax(logits(member, images)) for member in members], axis=0)
    loss, accuracy = evaluate_ensemble(program, iter(members))
    assert loss == pytest.approx(-np.log(p[np.arange(50), test.labels]).mean(), rel=1e-4)
    assert accuracy == (p.argmax(1) == test.labels).mean()


def test_an_ensemble_of_one_is_the_network(program, members):
    sums = program.evaluate(members[0])
    loss, accuracy = evaluate_ensemble(program, members[:1])
    assert loss == pytest.approx(float(sums.mean_loss), rel=1e-5)
    assert accuracy == program.metric_values(jax.device_get(sums))["accuracy"]
    # The mean of three equal members has their probabilities.
    assert evaluate_ensemble(program, members[:1] * 3) == pytest.approx((loss, accuracy))


def test_an_ensemble_without_members_is_refused(program):
    with pytest.raises(ValueError, match="at least one member, got none"):
        evaluate_ensemble(program, [])
