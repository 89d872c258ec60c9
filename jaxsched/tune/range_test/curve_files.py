"""Writes and reads the curves of range tests: one JSON file for each run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.data import Dataset
from jaxsched.lr_finder.curve import RangeCurve
from jaxsched.output import make_folder, write_text
from jaxsched.tracking.records import checksum
from jaxsched.train.same_data import require_same_data

_KIND = "range test"


def write_curve(path: Path, header: Mapping[str, Any], curve: RangeCurve) -> None:
    """Writes the curve of a finished run; the file is either complete or does not exist.

    Args:
        path: the file to write; its folder is made if need be.
        header: the experiment, its seed and the environment of the run.
        curve: the curve of the run.

    Raises:
        OSError: when the file cannot be written.
    """
    content = {
        "kind": _KIND,
        **header,
        "axis": curve.axis,
        **_arrays(curve),
    }
    if curve.validation is not None:
        content["validation"] = _arrays(curve.validation)
    make_folder(path.parent)
    write_text(path, json.dumps({**content, "crc32": checksum(content, 0)}))


def read_curve(path: Path, dataset: Dataset | None = None) -> RangeCurve:
    """Reads a curve.

    Args:
        path: the file.
        dataset: the data that the curve has to be of; None for any.

    Raises:
        ValueError: when the file does not hold a curve, or one of other data.
    """
    content = _content(path)
    if dataset is not None:
        require_same_data(path, content, dataset)
    try:
        also = {"seed": content["seed"], "axis": content["axis"]}
        found = content.get("validation")
        validation = None if found is None else RangeCurve(**_read_arrays(found), **also)
        return RangeCurve(**_read_arrays(content), **also, validation=validation)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _unreadable(path, error) from error


def _arrays(curve: RangeCurve) -> dict[str, Any]:
    return {
        "values": curve.values.tolist(),
        # JSON has no NaN and no infinity.
        "losses": [loss if np.isfinite(loss) else None for loss in curve.losses.tolist()],
        "accuracies": None if curve.accuracies is None else curve.accuracies.tolist(),
    }


def _read_arrays(content: Mapping[str, Any]) -> dict[str, Any]:
    accuracies = content["accuracies"]
    return {
        "values": np.array(content["values"]),
        "losses": np.array([np.nan if loss is None else loss for loss in content["losses"]]),
        "accuracies": None if accuracies is None else np.array(accuracies),
    }


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if content["kind"] != _KIND:
            raise KeyError(content["kind"])
        # Curves from before checksums have none.
        found = content.pop("crc32", None)
        if found is not None and found != checksum(content, 0):
            raise ValueError("it differs from what was written")
        return content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path}: expected a curve of a range test ({error}); move the file away to run the "
        "test again."
    )
