"""The values of a run's evaluations. Imports no JAX."""

import math
from collections.abc import Mapping
from typing import Any

from jaxsched.metric import Metric
from jaxsched.tracking.records import Record


def value_of(row: Mapping[str, Any], column: str) -> float | None:
    """Returns a row's value in a column; None if it has none, or none that is finite."""
    found = row.get(column)
    # A number that is not finite is text in a record, such as "inf".
    is_number = isinstance(found, int | float) and math.isfinite(found)
    return found if is_number else None


def final_value(record: Record, column: str) -> float | None:
    """Returns the value of the last evaluation that has the column.

    None if no evaluation has it, or if that value is not finite.
    """
    measured = [row for row in record.evaluations if row.get(column) is not None]
    return value_of(measured[-1], column) if measured else None


def best_value(record: Record, metric: Metric) -> float | None:
    """Returns the best value of a run's evaluations; None if none is finite."""
    found = (value_of(row, metric.name) for row in record.evaluations)
    best = metric.best(value for value in found if value is not None)
    return None if math.isnan(best) else best
