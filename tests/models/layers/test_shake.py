"""Shake-Shake and ShakeDrop against their own formulae in float64, backward too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsched.models.layers.shake import shake_drop, shake_shake

KEYS = jax.random.split(jax.random.key(3), 6)
RANDOM = np.random.default_rng(0)
X, DY = RANDOM.normal(size=(2, 6, 5)).astype(np.float32)
W1, W2 = RANDOM.normal(size=(2, 5, 5)).astype(np.float32)


def drawn(layer, count):
    """The numbers of the documented stream, float64[count, 6, 1]."""
    rows = [jax.random.uniform(jax.random.fold_in(key, layer), (count,)) for key in KEYS]
    return np.float64(rows).T[..., None]


def test_shake_shake_goes_forward_by_one_number_and_backward_by_another():
    """The branches are tanh(x W), whose gradients are known."""

    def loss(x, w1, w2):
        y = shake_shake(jnp.tanh(x @ w1), jnp.tanh(x @ w2), KEYS, layer=4)
        return (y * DY).sum(), y

    grads, y = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(X, W1, W2)
    x, dy, w1, w2 = map(np.float64, (X, DY, W1, W2))
    alpha, beta = drawn(4, 2)
    first, second = np.tanh(x @ w1), np.tanh(x @ w2)
    np.testing.assert_allclose(y, alpha * first + (1 - alpha) * second, rtol=1e-5, atol=1e-6)
    before1, before2 = beta * dy * (1 - first**2), (1 - beta) * dy * (1 - second**2)
    expected = before1 @ w1.T + before2 @ w2.T, x.T @ before1, x.T @ before2
    for ours, theirs in zip(grads, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (np.abs(alpha - beta) > 0.01).any()


def test_shake_drop_goes_forward_by_one_number_and_backward_by_another():
    def loss(x):
        y = shake_drop(x, KEYS, layer=1, rate=0.6)
        return (y * DY).sum(), y

    gradient, y = jax.grad(loss, has_aux=True)(jnp.asarray(X))
    chance, alpha, beta = drawn(1, 3)
    b, alpha = np.float64(chance >= 0.6), 2 * alpha - 1
    assert 0 < b.sum() < 6
    np.testing.assert_allclose(y, (b + alpha - b * alpha) * X, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, (b + beta - b * beta) * DY, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_evaluation_uses_the_mean_of_training(rate):
    """Of 20,000 draws; a gate of ShakeDrop has a standard deviation of 0.7 at most."""
    keys = jax.random.split(jax.random.key(0), 20_000)
    ones = jnp.ones((len(keys), 1))
    trained = shake_drop(ones, keys, layer=0, rate=rate)
    assert float(trained.mean()) == pytest.approx(1 - rate, abs=5 * 0.7 / len(keys) ** 0.5)
    evaluated = shake_drop(ones[:1], None, layer=0, rate=rate)
    assert float(evaluated[0, 0]) == pytest.approx(1 - rate)
    mixed = shake_shake(ones, -ones, keys, layer=0)
    assert float(mixed.mean()) == pytest.approx(0, abs=5 * 3**-0.5 / len(keys) ** 0.5)
    assert float(jnp.abs(mixed).max()) <= 1 and float(mixed.std()) == pytest.approx(
        3**-0.5, rel=0.02
    )
    assert not shake_shake(ones, -ones, None, layer=0).any()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, keys: shake_drop(x, keys, layer=0, rate=0.9),
        lambda x, keys: shake_shake(x, 2 * x, keys, layer=0),
    ],
)
def test_a_gate_is_an_examples_own_whatever_the_batch_and_dtype(function):
    whole = function(X, KEYS)
    np.testing.assert_array_equal(function(X[::-1], KEYS[::-1])[::-1], whole)
    np.testing.assert_array_equal(function(X[2:4], KEYS[2:4]), whole[2:4])
    ratios = np.asarray(whole / X)
    np.testing.assert_allclose(ratios, np.broadcast_to(ratios[:, :1], X.shape), rtol=1e-5)
    assert len(np.unique(ratios[:, 0].round(4))) > 3
    half = function(jnp.asarray(X, jnp.bfloat16), KEYS)
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(half), whole, rtol=0.03, atol=0.01)
