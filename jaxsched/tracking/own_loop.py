"""Records the runs of any loop, in any framework, for `jaxsched report`. Imports no JAX."""

import contextlib
import datetime
import glob
import hashlib
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxsched.metric import COLUMN_PREFIXES, Better, Metric, bare_name
from jaxsched.output import make_folder, require_file_name
from jaxsched.tracking.claim import claim_record
from jaxsched.tracking.fields import check_fields
from jaxsched.tracking.known_metrics import known_metric, metric_of
from jaxsched.tracking.machine import machine
from jaxsched.tracking.plain import plain_config, plain_number
from jaxsched.tracking.record_writer import RecordWriter
from jaxsched.tracking.records import FAILED, Run, read_record, refuse_finished

_FRAMEWORKS = ("jaxsched", "jax", "flax", "optax", "torch", "tensorflow", "keras", "mlx", "numpy")


def recorder(
    *,
    study: str,
    experiment: str,
    seed: int,
    config: Mapping[str, Any] | None = None,
    workdir: str | Path = "runs",
    better: Mapping[str, Better] | None = None,
) -> "OwnRun":
    """Returns a context manager that records a run of a loop of your own.

    The record is WORKDIR/STUDY/records/EXPERIMENT-…-seedSEED.jsonl, and `jaxsched report
    WORKDIR/STUDY` makes tables, comparisons and a page of all that are there. Each evaluation is on
    disk before the loop goes on. At the end of the block the run is finished; it has diverged if
    its last metrics are not finite. An error in the block ends it as failed, with the reason. A run
    that was killed counts as unfinished: the same block starts it anew, and what was recorded
    before is moved to a folder `unfinished`.

    The clock starts with the block, so begin it right before the loop. When several processes train
    one model, one of them records.

    Args:
        study: the name of the study: the experiments that are compared with each other.
        experiment: the name of what is tried, the same for all of its seeds.
        seed: the run's seed. Experiments are compared seed by seed.
        config: what was tried, for the page: text, numbers, booleans, None, lists and dicts. An
            entry "seed" may differ between the runs of an experiment, others may not.
        workdir: the folder of all studies.
        better: whether "lower" or "higher" values are better, by a metric's name, for metrics whose
            names do not tell: `better={"return": "higher"}`. Known are names that end in loss,
            error, perplexity, accuracy and the like.

    Raises:
        ValueError: if a name is none of a file, the seed is no whole number, or the config holds
            something else.

    Example:
        >>> import tempfile
        >>> import jaxsched as js
        >>> weight, folder = 0.0, tempfile.mkdtemp()
        >>> with js.recorder(study="mine", experiment="sgd", seed=0, workdir=folder) as run:
        ...     for step in range(1, 31):
        ...         weight -= 0.1 * (weight - 1)
        ...         if step % 10 == 0:
        ...             run.evaluation(step=step, test_loss=(weight - 1) ** 2, learning_rate=0.1)
        >>> from jaxsched.tracking import read_record
        >>> record = read_record(run.path)
        >>> record.status, [row["step"] for row in record.evaluations]
        ('finished', [10, 20, 30])
    """
    try:
        header = _header(study, experiment, seed, dict(config or {}), better or {})
        check_fields("run", header, header)
    except ValueError as error:
        raise ValueError(f"recorder: {error}.") from error
    run = Run(experiment, header["digest"], seed)
    return OwnRun(Path(workdir) / study / "records" / run.file_name, header)


class OwnRun:
    """A run of a loop of your own, to be used in a `with` block; made by `recorder`.

    Attributes:
        path: the path of its record.

    Raises, on entering the block:
        FileExistsError: when the run has finished before.
        BlockingIOError: when another process records it.
        OSError: when the record cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]):
        self.path, self._header = path, header
        self._clock, self._is_timed = _Clock(), False  # whether the loop measures its own seconds
        self._last: Mapping[str, Any] = {"step": 0}
        self._writer: RecordWriter | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "OwnRun":
        with contextlib.ExitStack() as opening:
            opening.enter_context(claim_record(self.path))
            refuse_finished(self.path)
            _set_aside(self.path)
            writer = RecordWriter(self.path, self._header, is_claimed=True)
            self._writer = opening.enter_context(writer)
            self._stack = opening.pop_all()
        self._clock = _Clock()
        return self

    def evaluation(self, *, step: int, **values: Any) -> None:
        """Records an evaluation; it is on disk when this returns.

        Args:
            step: the number of updates so far, at least 1.
            values: numbers, also arrays and tensors with one element; None is left out. Metrics are
                named by the examples they are measured on, as in `test_loss`, `validation_loss`,
                `train_loss` and, for averaged weights, `averaged_test_loss`. A share is within
                [0, 1]. Times are `examples`, `epoch`, `train_seconds` and `evaluation_seconds`;
                the last two are measured unless `train_seconds` is given. Of other names the page
                draws `learning_rate`, `momentum`, `weight_decay`, `batch_size`, `squared_norm`.

        Raises:
            ValueError: if a value is no number or not within its range, if the step does not grow,
                if there is no metric, or if it is not known which values of a metric are better.
            RuntimeError: outside of the `with` block.
            OSError: when it cannot be written.
        """
        if self._writer is None:
            raise RuntimeError("recorder: evaluations are recorded in the block of `with`.")
        with self._clock.stopped():
            try:
                row = self._row({"step": step, **values})
            except ValueError as error:
                raise ValueError(f"recorder, evaluation at step {step}: {error}.") from error
            self._writer.evaluation(row)
            self._last = row

    def _row(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row of a record with these values, checked."""
        given = {name: plain_number(name, v) for name, v in values.items() if v is not None}
        self._require_known(given)
        row = self._timed(given)
        check_fields("evaluation", row, self._header)
        if row["step"] <= self._last["step"]:
            raise ValueError(f"expected a step after {self._last['step']}")
        return row

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Context manager: the time in its block counts as evaluation, not as training."""
        with self._clock.stopped():
            yield

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None
        with self._stack:  # after a KeyboardInterrupt and the like the run is unfinished
            if isinstance(error, Exception):
                with contextlib.suppress(OSError):  # a full disk, which the error itself may be
                    writer.fail(error)
            elif error is None and self._last["step"] == 0:
                writer.end(status=FAILED, reason="the block ended without an evaluation")
                raise ValueError("recorder: the block ended without a call of run.evaluation(…).")
            elif error is None:
                writer.end(**self._end())

    def _end(self) -> dict[str, str]:
        metrics = self._header["metrics"]
        lost = [c for c, v in self._last.items() if isinstance(v, str) and metric_of(c, metrics)]
        if not lost:
            return {"status": "finished", "reason": ""}
        what = ", ".join(f"{column} is {self._last[column]}" for column in lost)
        return {"status": "diverged", "reason": f"diverged, at update {self._last['step']} {what}"}

    def _require_known(self, row: Mapping[str, Any]) -> None:
        """Refuses what it is not known how to compare."""
        metrics = self._header["metrics"]
        for name, value in row.items():
            bare, metric = bare_name(name), metric_of(name, metrics)
            if name in ("kind", "crc32"):
                raise ValueError(f"expected another name than {name}, which each line has already")
            if bare is None and (name in metrics or known_metric(name)):
                columns = " or ".join(f"{prefix}{name}" for prefix in COLUMN_PREFIXES[:3])
                raise ValueError(f"expected {name} with the examples it is of, {columns}")
            if metric and metric.is_share and not isinstance(value, str) and not 0 <= value <= 1:
                raise ValueError(
                    f"expected {name} as a share within [0, 1], got {value}; divide per cent by 100"
                )
            if bare is not None and name != "train_seconds" and metric is None:
                raise ValueError(
                    f"expected to know which values of {name} are better; say "
                    f"recorder(…, better={{{bare!r}: 'higher'}}), or 'lower'"
                )

    def _timed(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with the seconds so far, unless the loop measures them itself."""
        is_given = "train_seconds" in row
        if self._last["step"] and is_given != self._is_timed:
            raise ValueError("expected train_seconds in all evaluations or in none")
        self._is_timed = is_given
        if is_given:
            return row
        training, evaluating = self._clock.seconds()
        return {**row, "train_seconds": training, "evaluation_seconds": evaluating}


class _Clock:
    """Measures the seconds of training and those of evaluation, during which it is stopped."""

    def __init__(self):
        self._began = time.perf_counter()
        self._evaluating = 0.0
        self._stopped: float | None = None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Context manager: its time is evaluation. One within another changes nothing."""
        if self._stopped is not None:
            yield
            return
        self._stopped = time.perf_counter()
        try:
            yield
        finally:
            self._evaluating += time.perf_counter() - self._stopped
            self._stopped = None

    def seconds(self) -> tuple[float, float]:
        """The seconds of training and of evaluation so far, to be asked while it is stopped."""
        assert self._stopped is not None
        training = self._stopped - self._began - self._evaluating
        return training, self._evaluating + time.perf_counter() - self._stopped


def _header(
    study: str,
    experiment: str,
    seed: int,
    config: Mapping[str, Any],
    better: Mapping[str, Better],
) -> dict[str, Any]:
    plain = plain_config(config, "config")
    same = {name: value for name, value in plain.items() if name != "seed"}
    return {
        "name": require_file_name("an experiment", experiment),
        "seed": seed,
        "digest": hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:8],
        "config": plain,
        "source": _source(),
        "evaluated_on": "test",
        "environment": machine(_versions()),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "study": require_file_name("a study", study),
        "metrics": dict(_declared(name, direction) for name, direction in better.items()),
    }


def _declared(name: str, direction: Better) -> tuple[str, dict[str, Any]]:
    """The entry of a metric in the header; its name may be that of a column."""
    bare = bare_name(name) or name
    known = known_metric(bare)
    metric = Metric(bare, direction, known is not None and known.is_share)
    return bare, {"better": metric.better, "is_share": metric.is_share}


def _source() -> str:
    """The text of the script that runs; "" in a notebook or an interpreter."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    try:
        return Path(script).read_text(encoding="utf-8") if script else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _versions() -> dict[str, str]:
    """The versions of the frameworks that the loop has imported."""
    found = {name: sys.modules[name] for name in _FRAMEWORKS if name in sys.modules}
    return {name: getattr(module, "__version__", "unknown") for name, module in found.items()}


def _set_aside(path: Path) -> None:
    """Moves the record of a run that was cut off or failed out of the way, unless it is empty."""
    if not path.exists() or not read_record(path).evaluations:
        return
    folder = path.parent / "unfinished"
    make_folder(folder)
    count = len(list(folder.glob(f"{glob.escape(path.stem)}-*")))
    path.rename(folder / f"{path.stem}-{count + 1}{path.suffix}")
