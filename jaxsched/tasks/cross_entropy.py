"""Softmax cross-entropy with integer labels."""

import jax
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Returns each example's softmax cross-entropy with smoothed labels, f32[B].

    Formula:
        −Σ_c q_c log p_c,   q = (1 − smoothing) · onehot(label) + smoothing / classes

    Args:
        logits: f32[B, classes].
        labels: int32[B].
        smoothing: the share of the target that is spread over all classes; 0.1 and 0.2 are usual.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.tasks.cross_entropy import cross_entropy
        >>> [round(float(x), 4) for x in cross_entropy(jnp.zeros((1, 10)), jnp.array([3]), 0.1)]
        [2.3026]
    """
    if smoothing == 0:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    onehot = jax.nn.one_hot(labels, logits.shape[-1])
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(onehot, smoothing))
