"""The curves of a run under the names that TensorBoard and Weights & Biases group them by."""

from collections.abc import Mapping
from typing import Any

from jaxsched.metric import bare_name
from jaxsched.tracking.fields import IMAGE_METRICS
from jaxsched.tracking.known_metrics import metric_of

# The tag of each column that is no metric's. Plots are grouped by the part before the slash.
_TAGS = {
    "learning_rate": "hyperparameters/learning_rate",
    "momentum": "hyperparameters/momentum",
    "weight_decay": "hyperparameters/weight_decay",
    "batch_size": "hyperparameters/batch_size",
    "squared_norm": "weights/squared_norm",
    "examples": "time/examples",
    "epoch": "time/epoch",
    "train_seconds": "time/train_seconds",
}


def scalars_of(row: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, float]:
    """Returns the values of a row that are drawn, by tag.

    Args:
        row: a row of a record.
        header: the record's header, which names the metrics.

    Example:
        >>> from jaxsched.tracking.loggers.scalars import scalars_of
        >>> row = {"step": 9, "epoch": 1.0, "test_loss": "inf", "averaged_test_accuracy": 0.5}
        >>> scalars_of(row, {})
        {'time/epoch': 1.0, 'loss/test': inf, 'accuracy/test_averaged': 0.5}
    """
    declared = header.get("metrics", IMAGE_METRICS)
    tags = {column: _tag_of(column, declared) for column in row}
    # A loss that is not finite is text in a record, such as "inf".
    return {
        tag: float(row[column])
        for column, tag in tags.items()
        if tag is not None and row[column] is not None
    }


def _tag_of(column: str, declared: Mapping[str, Any]) -> str | None:
    """The tag of a column, such as "accuracy/test_averaged"; None if it is not drawn."""
    if column in _TAGS or metric_of(column, declared) is None:
        return _TAGS.get(column)
    name = bare_name(column)
    is_averaged = column.startswith("averaged_")
    examples = column.removeprefix("averaged_").removesuffix(f"_{name}")
    return f"{name}/{examples}{'_averaged' if is_averaged else ''}"
