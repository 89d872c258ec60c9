"""Reads the trials of AlgoPerf's competition from its own logs, or from one file."""

import csv
import gzip
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsched.bench.algoperf.competition import VERSION_05, Competition, Trial, Workload

_LOG = "eval_measurements.csv"
_LAYOUT = f"SUBMISSION/study_0/WORKLOAD_jax/trial_1/{_LOG}"
# What AlgoPerf's runner appends to the folder of a submission that was run again.
_TIMESTAMP = re.compile(r"-\d{4}(-\d{2}){5}$")


def read_measurements(path: Path) -> Competition:
    """Reads the trials of a competition.

    Args:
        path: a folder of logs as AlgoPerf's submission_runner.py writes them, with files
            SUBMISSION/study_0/WORKLOAD_jax/trial_1/eval_measurements.csv in it, or the folder of
            one submission. Or a JSON file, which may be compressed (.json.gz), with `targets`,
            `base_workloads`, `held_out_workloads`, `trials` and `source`.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if it holds something else; the message says what was expected.

    Source: scoring/scoring_utils.py of github.com/mlcommons/algorithmic-efficiency.
    """
    if path.is_dir():
        return _from_logs(path)
    if not path.exists():
        raise FileNotFoundError(
            f"expected AlgoPerf's logs, a folder with {_LAYOUT} in it, or a JSON file of "
            f"measurements, and there is no {path}."
        )
    try:
        return _from_json(path)
    except (KeyError, TypeError, AttributeError, ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{path} does not hold measurements of AlgoPerf ({error!r}); expected JSON with "
            "targets, base_workloads, held_out_workloads, trials and source."
        ) from error


def _from_json(path: Path) -> Competition:
    content = path.read_bytes()
    content = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    base, held_out = content["base_workloads"], content["held_out_workloads"]
    return Competition(
        source=str(content["source"]),
        workloads={
            name: _workload(content["targets"][name], _base_of(name, base))
            for name in (*base, *held_out)
        },
        trials=tuple(_trial_of_json(**trial) for trial in content["trials"]),
        published=content.get("published_scores", {}),
    )


def _workload(given: Mapping[str, Any], base: str | None) -> Workload:
    return Workload.of(given["metric"], given["better"], float(given["target"]), base)


def _base_of(name: str, base: Sequence[str]) -> str | None:
    """The workload of which one is a variant, which its name begins with."""
    of = [other for other in base if name.startswith(f"{other}_")]
    if name not in base and not of:
        raise ValueError(f"expected the held-out workload {name} to be a variant of one of {base}")
    return None if name in base else max(of, key=len)


def _trial_of_json(
    step: Sequence[int], seconds: Sequence[float], value: Sequence[float | None], **others: Any
) -> Trial:
    values = tuple(math.nan if v is None else float(v) for v in value)
    return Trial(steps=tuple(step), seconds=tuple(seconds), values=values, **others)


def _from_logs(folder: Path) -> Competition:
    paths = sorted(folder.rglob(_LOG))
    if not paths:
        raise ValueError(f"expected AlgoPerf's logs in {folder}, files {_LAYOUT}, found none.")
    trials, unknown = [], {}
    for path in paths:
        place = _place(path, folder)
        if place["workload"] in VERSION_05:
            trials.append(_trial(path, **place))
        else:
            unknown[place["workload"]] = None
    if not trials:
        raise ValueError(
            f"expected workloads of AlgoPerf 0.5 in {folder}, {', '.join(VERSION_05)}, got "
            f"{', '.join(unknown)}."
        )
    cautions = [f"{name} is no workload of AlgoPerf 0.5 and is left out." for name in unknown]
    return Competition(
        f"AlgoPerf's logs in {folder}", VERSION_05, tuple(trials), {}, tuple(cautions)
    )


def _place(path: Path, folder: Path) -> dict[str, Any]:
    """Which trial a log is of, by its path."""
    parts = ("", *path.relative_to(folder.parent).parts)[-5:-1]
    submission, study, workload, trial = parts if len(parts) == 4 else ("", "", "", "")
    numbers = [re.fullmatch(r"(?:study|trial)_(\d+)", part) for part in (study, trial)]
    of = re.fullmatch(r"(.+)_(jax|pytorch)", workload)
    if of is None or not all(numbers) or not submission:
        raise ValueError(f"expected AlgoPerf's log as {_LAYOUT}, got {path}.")
    study_number, trial_number = (int(number[1]) for number in numbers if number)
    return {
        "submission": _TIMESTAMP.sub("", submission),
        "study": study_number,
        "trial": trial_number,
        "workload": of[1],
        "framework": of[2],
    }


def _trial(path: Path, **place: Any) -> Trial:
    column = VERSION_05[place["workload"]].metric.name.replace("validation_", "validation/")
    try:
        rows = list(_growing(path, column))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected numbers in the columns global_step, accumulated_submission_time "
            f"and {column}, got {error!r}."
        ) from error
    steps, seconds, values = zip(*rows, strict=True) if rows else ((), (), ())
    hyperparameters = path.with_name("hparams.json")
    if not hyperparameters.exists():
        return Trial(**place, steps=steps, seconds=seconds, values=values)
    chosen = json.loads(hyperparameters.read_text(encoding="utf-8"))
    return Trial(**place, steps=steps, seconds=seconds, values=values, hyperparameters=chosen)


def _growing(path: Path, column: str) -> Iterator[tuple[int, float, float]]:
    """Yields the evaluations of a log; what a resumed run repeats counts once, as it was first."""
    last = 0
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            step = int(float(row["global_step"]))
            if step > last:
                last = step
                value = row[column]
                yield step, float(row["accumulated_submission_time"]), float(value or math.nan)
