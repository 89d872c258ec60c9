"""Dropout depends on an example's key and the layer alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsched.models.layers.dropout import dropout

KEYS = jax.random.split(jax.random.key(0), 8)
ONES = jnp.ones((8, 20, 20, 3))


@pytest.mark.slow
def test_a_batch_can_be_split_anyhow():
    whole = dropout(ONES, KEYS, layer=1, rate=0.3)
    parts = [
        dropout(ONES[part], KEYS[part], layer=1, rate=0.3)
        for part in (slice(0, 1), slice(1, 4), slice(4, 8))
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_examples_and_layers_have_masks_of_their_own():
    masks = [dropout(ONES, KEYS, layer=layer, rate=0.5) > 0 for layer in (0, 1)]
    masks = np.concatenate(masks).reshape(16, -1)
    agreement = (masks[:, None] == masks[None]).mean(-1)[~np.eye(16, dtype=bool)]
    # Independent fair coins agree half the time; 1200 of them within 5 deviations of it.
    assert np.abs(agreement - 0.5).max() < 5 * 0.5 / np.sqrt(1200)


def test_the_share_kept_and_its_scale():
    dropped = np.asarray(dropout(ONES, KEYS, layer=0, rate=0.3))
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.7], rtol=1e-6)
    # 9600 coins within 5 deviations of the expected share.
    assert abs((dropped == 0).mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 9600)


def test_the_dtype_stays():
    assert dropout(ONES.astype(jnp.bfloat16), KEYS, layer=0, rate=0.3).dtype == jnp.bfloat16
