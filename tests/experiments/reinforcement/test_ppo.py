"""The loss against NumPy, and a run that learns."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "experiments" / "reinforcement"))

import ppo
import schedules
import training
from policy import INITIAL_SQUARED_NORM, NETWORK


def softmax(logits):
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def test_loss_is_that_of_the_paper():
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(NETWORK.init, jax.random.key(0), jnp.zeros(4))
    # Large weights, so that probabilities are not all alike.
    params = jax.tree.map(lambda w: np.float32(random.normal(size=w.shape) / 4), shapes)
    observation = random.normal(size=(64, 4)).astype(np.float32)
    action = random.integers(2, size=64)
    logits, value = (np.asarray(x, np.float64) for x in jax.jit(NETWORK.apply)(params, observation))
    p = softmax(logits)
    log_p = np.log(p[np.arange(64), action])
    old = log_p + random.normal(size=64) / 3  # ratios on both sides of the clip
    advantage, target = random.normal(size=(2, 64))
    batch = ppo.Steps(*map(jnp.asarray, (observation, action, old, advantage, target)))
    ratio, a = np.exp(log_p - old), (advantage - advantage.mean()) / advantage.std()
    assert min((ratio < 0.8).sum(), (ratio > 1.2).sum()) > 5
    gain = np.minimum(ratio * a, np.clip(ratio, 0.8, 1.2) * a).mean()
    error = ((value - target) ** 2 / 2).mean()
    entropy = -(p * np.log(p)).sum(axis=-1).mean()
    expected = -gain + 0.5 * error - 0.01 * entropy
    assert float(jax.jit(ppo.loss)(params, batch)) == pytest.approx(expected, rel=1e-4)


def test_weight_norm_starts_the_same_for_all_seeds():
    @jax.jit
    def norm(seed):
        params = NETWORK.init(jax.random.key(seed), jnp.zeros(4))
        return optax.tree.norm(params, squared=True)

    assert [float(norm(seed)) for seed in (0, 1)] == pytest.approx([INITIAL_SQUARED_NORM] * 2)


@pytest.mark.parametrize("name", schedules.SCHEDULES)
def test_learning_rates_are_those_of_the_schedule(name):
    """Without gradients and L2 the weights stay, so that ABEL sees no bounce."""
    tx = training.chain(schedules.SCHEDULES[name], 0.5, 0.0)
    params = {"w": jnp.ones(2)}
    update = jax.jit(lambda state: tx.update({"w": jnp.zeros(2)}, state, params)[1])

    def rate_at(step):
        """The learning rate of this update, of a state in which so many have been made."""
        state = jax.tree.map(
            lambda x: jnp.int32(step) if x.dtype == jnp.int32 and x.shape == () else x,
            tx.init(params),
        )
        rates = training.js.hyperparams(update(state))
        return float(rates["learning_rate"] * rates.get("abel_scale", 1.0))

    total, late = schedules.NUM_UPDATES, schedules.LATE
    assert late == int(0.85 * total)
    expected = {
        "constant": (0.5, 0.5, 0.5, 0.5),
        "linear": (0.5, 0.25, *(0.5 * (1 - step / total) for step in (late - 1, late))),
        "cosine": (
            0.5,
            0.25,
            *(0.25 * (1 + np.cos(np.pi * step / total)) for step in (late - 1, late)),
        ),
    }.get(name, (0.5, 0.5, 0.5, 0.05))
    found = [rate_at(step) for step in (0, total // 2, late - 1, late)]
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_run_learns_and_is_the_same_again():
    def returns(num_evaluations):
        learners = training.train(schedules.linear, seed=0, peak=0.004, l2=0.0)
        return [
            training.measure(learner, evaluation)
            for evaluation, learner in zip(range(num_evaluations), learners, strict=False)
        ]

    rows = returns(schedules.NUM_EVALUATIONS + 1)
    assert rows[0]["test_return"] < 40
    assert max(row["test_return"] for row in rows) > 400
    assert rows[-1]["step"] == schedules.NUM_UPDATES
    assert rows[-1]["squared_norm"] > rows[0]["squared_norm"]
    assert returns(4) == rows[:4]
