"""Curves of range tests on disk: one file of JSON a run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.lr_finder.curve import RangeCurve

_KIND = "range test"


def write_curve(path: Path, header: Mapping[str, Any], curve: RangeCurve) -> None:
    """Writes a curve that is done; what is there is whole, or not there.

    Args:
        path: the file; its folder is made.
        header: what was run, and with what.
        curve: of the run.

    Raises:
        OSError: when it cannot be written.
    """
    content = {
        "kind": _KIND,
        **header,
        "axis": curve.axis,
        "values": curve.values.tolist(),
        # JSON has no NaN and no infinity.
        "losses": [loss if np.isfinite(loss) else None for loss in curve.losses.tolist()],
        "accuracies": None if curve.accuracies is None else curve.accuracies.tolist(),
    }
    beside = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error}. The curves before are kept; make room and run the same "
            "command again."
        ) from error


def read_curve(path: Path) -> RangeCurve:
    """Reads a curve.

    Raises:
        ValueError: when the file is no curve.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != _KIND:
            raise KeyError(content["kind"])
        losses = [np.nan if loss is None else loss for loss in content["losses"]]
        return RangeCurve(
            np.array(content["values"]),
            np.array(losses),
            None if content["accuracies"] is None else np.array(content["accuracies"]),
            seed=content["seed"],
            axis=content["axis"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a curve of a range test ({error}); move the file away to run the "
            "test again."
        ) from error
