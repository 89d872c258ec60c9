import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsched.data import epoch_order

KEY = jax.random.key(3)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 10_000),
    num_examples=st.sampled_from([1, 2, 17, 300]),
)
def test_every_epoch_visits_each_example_once(seed, epoch, num_examples):
    order = epoch_order(jax.random.key(seed), epoch, num_examples)
    assert order.dtype == jnp.int32
    assert sorted(order.tolist()) == list(range(num_examples))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [epoch_order(KEY, epoch, 100) for epoch in range(20)]
    orders += [epoch_order(jax.random.key(seed), 0, 100) for seed in (4, 5, 6)]
    assert len({tuple(order.tolist()) for order in orders}) == 23


def test_the_epoch_may_be_traced_and_nothing_else_matters():
    traced = jax.jit(lambda epoch: epoch_order(KEY, epoch, 100))
    for epoch in (5, 0, 5):
        np.testing.assert_array_equal(traced(epoch), epoch_order(KEY, epoch, 100))
    assert traced._cache_size() == 1


def test_every_example_is_as_likely_at_every_place():
    orders = jax.vmap(lambda epoch: epoch_order(KEY, epoch, 4))(jnp.arange(6000))
    counts = np.array([np.bincount(orders[:, place], minlength=4) for place in range(4)])
    # Expected 1,500 each with a standard deviation of 34.
    assert np.abs(counts - 1500).max() < 5 * 34


def test_it_needs_an_example():
    with pytest.raises(ValueError, match="num_examples of at least 1, got 0"):
        epoch_order(KEY, 0, 0)
