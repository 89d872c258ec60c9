"""The evaluations of runs as CSV files, for spreadsheets and data frames. Imports no JAX."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsched.metric import COLUMN_PREFIXES
from jaxsched.output import replacing
from jaxsched.tracking.records import Record

_HYPERPARAMETERS = ("batch_size", "learning_rate", "momentum", "weight_decay")
_TIMES = ("step", "examples", "epoch", "train_seconds", "evaluation_seconds")


def evaluation_columns(records: Sequence[Record]) -> list[str]:
    """Returns the columns of numbers that the records have, in a fixed order.

    Times come first, then hyper-parameters, then metrics: those of training, then those of test,
    then those of averaged weights.
    """
    columns = dict.fromkeys(column for record in records for column in record.columns)
    metrics = sorted(columns, key=_place)
    found = {
        name: None
        for record in records
        for row in record.evaluations
        for name, value in row.items()
        if isinstance(value, int | float) or (value is not None and name in metrics)
    }
    ordered = dict.fromkeys([*_TIMES, *_HYPERPARAMETERS, *metrics, *found])
    return [name for name in ordered if name in found or name == "step"]


def _place(column: str) -> int:
    """Those of training come first, then those of test, then those of averaged weights."""
    return next(n for n, prefix in enumerate(COLUMN_PREFIXES) if column.startswith(prefix))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes these columns of rows. A missing value is an empty cell.

    Raises:
        OSError: when it cannot be written; a file that was there before is kept.
    """
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({column: _cell(value) for column, value in row.items()})


def _cell(value: Any) -> Any:
    """The value, so marked that no spreadsheet takes a text of others for a formula."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value
