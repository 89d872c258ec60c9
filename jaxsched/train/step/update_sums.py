"""The sums of updates: the metrics of their batches, and the terms of the norm's change."""

import operator
from typing import NamedTuple

import jax

from jaxsched.tasks import MetricSums
from jaxsched.train.step.weight_norms import NormChange


class UpdateSums(NamedTuple):
    """Sums over updates, which can be added with `+`."""

    metrics: MetricSums  # over the examples of the batches
    norm_change: NormChange | None = None  # over the updates; None if it is not measured

    def __add__(self, other: "UpdateSums") -> "UpdateSums":  # type: ignore[override]
        """Returns the sums over the updates of both."""
        return jax.tree.map(operator.add, self, other)
