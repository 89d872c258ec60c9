"""Recomputes what the committed studies claim, from their records, with NumPy and SciPy alone.

    python experiments/reports/recompute.py

It imports nothing of jaxsched, so that an error in the library's statistics does not repeat itself
here: differences are tested by SciPy's own paired t-test, ranks by trying every sign, and medians
and means are NumPy's. For each study in `results`, or for the folders given, it compares these with
`summary.json`: who reached the target, median updates, examples and seconds, mean and standard
deviation of the final values, and of each comparison with the baseline the estimate, its interval,
the p-value and that after Holm's correction. It prints how many numbers agree, and ends with status
1 and a list if some do not. Bootstrap intervals of medians are random draws and are not recomputed.
"""

import itertools
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

RESULTS = Path(__file__).parents[1] / "results"
LEVEL = 0.05
ACCURACY = {"name": "test_accuracy", "better": "higher"}  # of manifests that name no metric
TIMES = {"steps": "step", "examples": "examples", "seconds": "train_seconds"}


class Run(NamedTuple):
    """One run of a study: its evaluations, with the metric that counts as `value`."""

    rows: list[dict[str, Any]]
    status: str


class Study(NamedTuple):
    """A study's runs by experiment and seed, and its target."""

    runs: dict[str, dict[int, Run]]
    baseline: str
    target: float
    sign: int  # 1 if higher is better, −1 if lower is


def read(folder: Path) -> Study:
    """Reads a study's manifest and records."""
    manifest = json.loads((folder / "study.json").read_text())
    metric = manifest.get("metric", ACCURACY)
    weights = manifest.get("evaluate", "averaged")
    files = {}
    for path in (folder / "records").glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        files[lines[0]["name"], lines[0]["digest"], lines[0]["seed"]] = lines
    runs: dict[str, dict[int, Run]] = {}
    for run in manifest["runs"]:
        lines = files[run["name"], run["digest"], run["seed"]]
        rows = [line for line in lines if line["kind"] == "evaluation"]
        for row in rows:
            averaged = row.get(f"averaged_{metric['name']}")
            is_raw = weights == "raw" or averaged is None
            row["value"] = row.get(metric["name"]) if is_raw else averaged
        found = Run(rows, lines[-1]["status"])
        runs.setdefault(run["name"], {})[run["seed"]] = found
    sign = 1 if metric["better"] == "higher" else -1
    return Study(runs, manifest["baseline"], target_of(manifest["target"], runs, sign), sign)


def target_of(target: Any, runs: Mapping[str, Mapping[int, Run]], sign: int) -> float:
    """The target: a number, or the median over a baseline's runs of the best value of each."""
    if not isinstance(target, dict):
        return target
    completed = [run for run in runs[target["baseline"]].values() if run.status != "failed"]
    return float(np.median([sign * max(sign * v for v in values(run)) for run in completed]))


def values(run: Run) -> list[float]:
    """The finite values of a run; records write the others as text."""
    return [row["value"] for row in run.rows if is_finite(row["value"])]


def is_finite(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def final(run: Run) -> float | None:
    """The value of the last evaluation; None if it is not finite."""
    measured = [row["value"] for row in run.rows if row["value"] is not None]
    return measured[-1] if measured and is_finite(measured[-1]) else None


def time_of(run: Run, study: Study, axis: str) -> tuple[float, float]:
    """The time of the first evaluation at the target, and of the one before; infinite if missed."""
    before = 0.0
    for row in run.rows:
        if is_finite(row["value"]):
            if study.sign * row["value"] >= study.sign * study.target:
                return float(row[axis]), before
            before = float(row[axis])
    return math.inf, math.inf


def summary_rows(study: Study) -> Iterator[dict[str, Any]]:
    """The numbers of each experiment, as the rows of summary.json have them."""
    for name, runs in study.runs.items():
        ends = [value for run in runs.values() if (value := final(run)) is not None]
        reached = [time_of(run, study, "step")[0] < math.inf for run in runs.values()]
        yield {
            "name": name,
            "seeds": len(runs),
            "reached": sum(reached),
            "diverged": sum(run.status == "diverged" for run in runs.values()),
            "failed": sum(run.status == "failed" for run in runs.values()),
            **{key: median_time(runs, study, axis) for key, axis in TIMES.items()},
            "final_n": len(ends),
            "final_mean": float(np.mean(ends)) if ends else None,
            "final_sd": float(np.std(ends, ddof=1)) if len(ends) > 1 else None,
        }


def median_time(runs: Mapping[int, Run], study: Study, axis: str) -> float | None:
    """The median time to the target; None if half of the runs missed it, or if it is not known."""
    if not all(axis in row for run in runs.values() for row in run.rows):
        return None
    median = float(np.median([time_of(run, study, axis)[0] for run in runs.values()]))
    return median if math.isfinite(median) else None


class Compared(NamedTuple):
    """One comparison before the correction: what is estimated, its p-value, and its sample."""

    name: str
    estimate: float | None
    p_value: float | None
    sample: Sequence[float] = ()  # whose mean is tested; empty without an interval
    least_sd: float = 0.0  # the spread assumed if the sample's is smaller
    is_log: bool = False  # whether the sample is of logarithms


def by_final(study: Study) -> Iterator[Compared]:
    """Final values against the baseline's, by SciPy's paired t-test."""
    for name, pairs in paired(study):
        ends = [(final(run), final(other)) for run, other in pairs]
        both = np.array([pair for pair in ends if None not in pair], float).reshape(-1, 2)
        gains = both[:, 0] - both[:, 1]
        if len(gains) < 2 or np.ptp(gains) < 1e-12:
            yield Compared(name, float(gains.mean()) if len(gains) else None, None)
        else:
            p_value = float(stats.ttest_rel(both[:, 0], both[:, 1]).pvalue)
            yield Compared(name, float(gains.mean()), p_value, gains.tolist())


def by_steps(study: Study) -> Iterator[Compared]:
    """Updates to the target against the baseline's: a t-test of log ratios, or of ranks."""
    for name, pairs in paired(study):
        found = [[time_of(run, study, "step") for run in pair] for pair in pairs]
        if all(time < math.inf for pair in found for time, _ in pair) and found:
            logs = np.array([math.log(pair[0][0] / pair[1][0]) for pair in found])
            # An evaluation says only that the target was reached since the one before: a time
            # within a width w, relatively, has the variance w² / 12.
            widths = [(time - before) / time for pair in found for time, before in pair]
            least = math.sqrt(2 * np.mean(np.square(widths)) / 12)
            p_value = None
            if len(logs) > 1 and max(least, np.std(logs, ddof=1)) > 0:
                t = logs.mean() / max(least, np.std(logs, ddof=1)) * math.sqrt(len(logs))
                p_value = float(2 * stats.t.cdf(-abs(t), len(logs) - 1))
            sample = logs.tolist() if p_value is not None else []
            yield Compared(name, math.exp(logs.mean()), p_value, sample, least, is_log=True)
        else:
            yield ranked(name, [(pair[0][0], pair[1][0]) for pair in found])


def ranked(name: str, times: Sequence[tuple[float, float]]) -> Compared:
    """The exact signed-rank test by trying every sign of every rank; a miss is the longest time."""
    decided = [(a, b) for a, b in times if min(a, b) < math.inf]
    logs = np.array([log_ratio(a, b) for a, b in decided])
    with np.errstate(over="ignore"):
        median = float(np.exp(np.median(logs))) if decided else 0.0
    estimate = median if 0 < median < math.inf else None
    if len(decided) < 2:
        return Compared(name, estimate, None)
    logs = np.round(logs, 12)
    logs = logs[logs != 0]
    ranks = stats.rankdata(np.abs(logs))
    signs = np.array(list(itertools.product((0, 1), repeat=len(ranks))))
    sums, seen = signs @ ranks, ranks[logs > 0].sum()
    p_value = 2 * min(np.mean(sums <= seen + 1e-9), np.mean(sums >= seen - 1e-9))
    return Compared(name, estimate, float(min(1.0, p_value)))


def log_ratio(a: float, b: float) -> float:
    """The logarithm of a ratio of times of which one may be infinite."""
    return math.inf if a == math.inf else -math.inf if b == math.inf else math.log(a / b)


def paired(study: Study) -> Iterator[tuple[str, list[tuple[Run, Run]]]]:
    """Each other experiment's runs beside the baseline's runs of the same seeds."""
    others = study.runs[study.baseline]
    for name, runs in study.runs.items():
        if name != study.baseline:
            yield name, [(runs[seed], others[seed]) for seed in runs if seed in others]


def corrected(found: Sequence[Compared]) -> Iterator[dict[str, Any]]:
    """Adds Holm's correction, and the interval at the level that the correction leaves."""
    tested = sorted(one.p_value for one in found if one.p_value is not None)
    steps = [(len(tested) - rank) * p for rank, p in enumerate(tested)]
    for one in found:
        entry: dict[str, Any] = {"name": one.name, "estimate": one.estimate, "low": None}
        entry |= {"high": None, "p_value": one.p_value, "p_corrected": None}
        if one.p_value is not None:
            uncut = max(step for step, p in zip(steps, tested, strict=True) if p <= one.p_value)
            entry["p_corrected"] = min(1.0, uncut)
            if len(one.sample):
                ends = interval(one, LEVEL * one.p_value / uncut)
                entry["low"], entry["high"] = np.exp(ends).tolist() if one.is_log else ends
        yield entry


def interval(one: Compared, level: float) -> tuple[float, float]:
    """Student's interval of the mean of the sample."""
    n = len(one.sample)
    error = max(one.least_sd, float(np.std(one.sample, ddof=1))) / math.sqrt(n)
    low, high = stats.t.interval(1 - level, n - 1, loc=np.mean(one.sample), scale=error)
    return float(low), float(high)


def disagreements(folder: Path) -> tuple[int, list[str]]:
    """Compares a study's summary.json with its records.

    Returns:
        How many numbers were compared, and a line for each that differs.
    """
    study, summary = read(folder), json.loads((folder / "summary.json").read_text())
    compared = {
        "rows": list(summary_rows(study)),
        "by_final": list(corrected(list(by_final(study)))),
        "by_steps": list(corrected(list(by_steps(study)))),
    }
    count, lines = 1, []
    if not agree(summary["target"], study.target):
        lines.append(f"target: {summary['target']} claimed, {study.target} recomputed")
    for part, entries in compared.items():
        names = [entry["name"] for entry in entries]
        if (claimed := [entry["name"] for entry in summary[part]]) != names:
            lines.append(f"{part}: {claimed} claimed, {names} recomputed")
            continue
        for claim, entry in zip(summary[part], entries, strict=True):
            count += len(entry) - 1
            lines += [
                f"{part}, {entry['name']}, {key}: {claim[key]} claimed, {value} recomputed"
                for key, value in entry.items()
                if not agree(claim[key], value)
            ]
    return count, lines


def agree(claimed: Any, found: Any) -> bool:
    """Whether two values are the same up to rounding."""
    if isinstance(claimed, int | float) and isinstance(found, int | float):
        return math.isclose(claimed, found, rel_tol=1e-6, abs_tol=1e-12)
    return claimed == found


def main(folders: Sequence[Path]) -> int:
    """Prints what agrees and what does not; returns the exit status."""
    wrong = 0
    for folder in folders or sorted(path.parent for path in RESULTS.glob("*/summary.json")):
        count, lines = disagreements(folder)
        print(f"{folder.name}: {count - len(lines)} of {count} numbers agree", *lines, sep="\n  ")
        wrong += len(lines)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
