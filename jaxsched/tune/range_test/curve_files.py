"""Writes and reads the curves of range tests: one JSON file for each run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxsched.lr_finder.curve import RangeCurve

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
        "values": curve.values.tolist(),
        # JSON has no NaN and no infinity.
        "losses": [loss if np.isfinite(loss) else None for loss in curve.losses.tolist()],
        "accuracies": None if curve.accuracies is None else curve.accuracies.tolist(),
    }
    partial = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            # Without it, a crash of the machine could leave a renamed file without its content.
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error}. The curves written before are kept; make room and run "
            "the same command again."
        ) from error


def read_curve(path: Path) -> RangeCurve:
    """Reads a curve.

    Raises:
        ValueError: when the file does not hold a curve.
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
