"""Metrics of a task: their names and better directions, and the sums that devices add up."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


@dataclass(frozen=True)
class Metric:
    """A number that evaluations measure.

    Attributes:
        name: the name; a row has it as `train_NAME`, `test_NAME` and `averaged_test_NAME`.
        better: whether lower or higher values are better.
        is_share: whether it is a share, such as an accuracy, which is shown in per cent.

    Example:
        >>> Metric("accuracy", better="higher", is_share=True).gain(0.75, before=0.5)
        0.25
    """

    name: str
    better: Literal["lower", "higher"]
    is_share: bool = False

    def gain(self, value: float, before: float) -> float:
        """Returns by how much a value is better than the one before; negative if it is worse."""
        return before - value if self.better == "lower" else value - before

    def best(self, values: Iterable[float]) -> float:
        """Returns the best of some values."""
        return min(values) if self.better == "lower" else max(values)

    def show(self, value: float) -> str:
        """Returns the value as text: a share in per cent."""
        return f"{value:.2%}" if self.is_share else f"{value:.4g}"


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
