"""Metrics as sums over examples: devices add them up, the host divides by the count."""

import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxsched.train.step.weight_norms import NormChange


class MetricSums(NamedTuple):
    """Sums over examples, which can be added with `+`."""

    loss: jax.Array  # f32[]
    correct: jax.Array  # int32[], correct predictions
    count: jax.Array  # int32[], examples
    norm_change: NormChange | None = None  # sum over updates; None if it is not measured

    @classmethod
    def zero(cls, norm_change: NormChange | None = None) -> "MetricSums":
        """Returns the sums over no example."""
        zero = jnp.zeros((), jnp.int32)
        return cls(jnp.zeros((), jnp.float32), zero, zero, norm_change)

    @classmethod
    def of(
        cls,
        logits: jax.Array,
        labels: jax.Array,
        losses: jax.Array,
        *,
        counts: jax.Array | None = None,
    ) -> "MetricSums":
        """Returns the sums over a batch.

        Args:
            logits: f32[B, classes].
            labels: int32[B].
            losses: f32[B].
            counts: bool[B], which examples to count; all of them by default.
        """
        counts = jnp.ones(labels.shape, bool) if counts is None else counts
        correct = (logits.argmax(axis=-1) == labels) & counts
        return cls(
            loss=jnp.where(counts, losses, 0.0).sum(),
            correct=correct.sum(dtype=jnp.int32),
            count=counts.sum(dtype=jnp.int32),
        )

    def __add__(self, other: "MetricSums") -> "MetricSums":  # type: ignore[override]
        """Returns the sums over the examples of both."""
        return jax.tree.map(operator.add, self, other)

    @property
    def mean_loss(self) -> float:
        """Mean loss of an example, on the host."""
        return float(self.loss) / int(self.count)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions, on the host."""
        return int(self.correct) / int(self.count)


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
        >>> from jaxsched.train.step.metrics import cross_entropy
        >>> [round(float(x), 4) for x in cross_entropy(jnp.zeros((1, 10)), jnp.array([3]), 0.1)]
        [2.3026]
    """
    if smoothing == 0:
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    onehot = jax.nn.one_hot(labels, logits.shape[-1])
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(onehot, smoothing))
