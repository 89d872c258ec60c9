"""The product with a wider kernel against sums in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.models.layers.dense_product import dense_product


def test_a_wider_kernel_is_rounded_and_its_gradient_is_not():
    """Two axes of the inputs are summed over, as where attention's heads are put together."""
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=(3, 5, 2, 4)), jnp.bfloat16)
    kernel = jnp.asarray(random.normal(size=(2, 4, 6)), jnp.float32)
    axes = (((2, 3), (0, 1)), ((), ()))
    output, pull_back = jax.vjp(lambda x, w: dense_product(x, w, axes), inputs, kernel)
    cotangent = jnp.asarray(random.normal(size=output.shape), jnp.bfloat16)
    for_inputs, for_kernel = pull_back(cotangent)
    assert (output.dtype, for_inputs.dtype, for_kernel.dtype) == ("bfloat16", "bfloat16", "float32")
    x, w, g = (np.float64(array) for array in (inputs, kernel.astype(jnp.bfloat16), cotangent))
    # bfloat16 would round at 4e-3.
    np.testing.assert_allclose(for_kernel, np.einsum("btij,bto->ijo", x, g), rtol=1e-5, atol=1e-5)
    for ours, theirs in (
        (output, np.einsum("btij,ijo->bto", x, w)),
        (for_inputs, np.einsum("bto,ijo->btij", g, w)),
    ):
        np.testing.assert_allclose(np.float64(ours), theirs, rtol=2**-8, atol=2**-8)
