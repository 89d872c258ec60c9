"""The metrics of a task, as sums that devices add up."""

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.metric import Metric as Metric

LOSS = Metric("loss", better="lower")


class MetricSums(NamedTuple):
    """Sums over examples, which can be added with `+`.

    A metric is a quotient of two of them, see `TaskFunctions.metric_values`.
    """

    loss: jax.Array  # f32[]
    count: jax.Array  # int32[], examples
    others: Mapping[str, jax.Array]  # what other metrics need, each []

    @classmethod
    def zero(cls, **others: DTypeLike) -> "MetricSums":
        """Returns the sums over no example, with the dtypes of the other ones by name."""
        zeros = {name: jnp.zeros((), dtype) for name, dtype in others.items()}
        return cls(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32), zeros)

    @classmethod
    def of(
        cls, losses: jax.Array, counts: jax.Array | None = None, **others: jax.Array
    ) -> "MetricSums":
        """Returns the sums over a batch.

        Args:
            losses: f32[B].
            counts: bool[B], which examples to count; all of them by default.
            others: the values of each example by name, [B]: booleans and integers are summed in
                int32, other numbers in float32.
        """
        counts = jnp.ones(losses.shape, bool) if counts is None else counts

        def total(values: jax.Array) -> jax.Array:
            if values.dtype == bool:
                return (values & counts).sum(dtype=jnp.int32)
            is_whole = jnp.issubdtype(values.dtype, jnp.integer)
            return jnp.where(counts, values, 0).sum(dtype=jnp.int32 if is_whole else jnp.float32)

        return cls(
            loss=jnp.where(counts, losses, 0.0).sum(),
            count=counts.sum(dtype=jnp.int32),
            others={name: total(values) for name, values in others.items()},
        )

    def __add__(self, other: "MetricSums") -> "MetricSums":  # type: ignore[override]
        """Returns the sums over the examples of both."""
        return jax.tree.map(operator.add, self, other)

    @property
    def mean_loss(self) -> Any:
        """Mean loss of an example; on the host in float64."""
        return self.loss / self.count
