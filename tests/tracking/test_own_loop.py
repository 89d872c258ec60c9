"""The recorder for loops of others: without JAX, through kills, errors and wrong values."""

import json
import math
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import jaxsched as js
from jaxsched.metric import Metric
from jaxsched.tracking import own_loop, read_record
from jaxsched.tracking.known_metrics import known_metric

LOOP = """
import signal, sys
import numpy as np
import jaxsched as js

weights, config = np.zeros(3), {"lr": 0.1}
with js.recorder(
    study="mine", experiment="sgd", seed=0, config=config, workdir=sys.argv[1]
) as run:
    for step in range(1, 31):
        weights -= 0.1 * (weights - 1)
        if step % 10 == 0:
            with run.evaluating():
                loss = np.mean((weights - 1) ** 2)
            run.evaluation(step=step, examples=32 * step, test_loss=loss, learning_rate=0.1)
            print(step, flush=True)
        if step == 20 and sys.argv[2] == "wait":
            signal.pause()
assert not {"jax", "flax", "optax"} & set(sys.modules), "the recorder imports JAX"
"""


def loop(folder, then):
    command = [sys.executable, "-c", LOOP, str(folder), then]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def recorder(folder, **changes):
    given = {"study": "mine", "experiment": "sgd", "seed": 0, "config": {"lr": 0.1}}
    return js.recorder(**{**given, **changes}, workdir=folder)


def steps(record):
    return [row["step"] for row in record.evaluations]


def test_a_loop_without_jax_is_recorded(tmp_path):
    with loop(tmp_path, "end") as process:
        assert process.wait() == 0, process.stderr.read()
    (path,) = (tmp_path / "mine" / "records").iterdir()
    record = read_record(path)
    assert record.is_complete and record.status == "finished"
    # A geometric series: each update leaves 0.9 of the distance to 1.
    for row in record.evaluations:
        assert row["test_loss"] == pytest.approx(0.9 ** (2 * row["step"]))
        assert row["examples"] == 32 * row["step"] and row["train_seconds"] > 0
    assert record.header["config"] == {"lr": 0.1}
    packages = record.header["environment"]["packages"]
    assert packages == {"jaxsched": js.__version__, "numpy": np.__version__}
    assert record.main_column == "test_loss"
    assert record.metric("test_loss") == Metric("test_loss", "lower")


def test_what_was_recorded_survives_a_kill_and_the_run_starts_anew(tmp_path):
    with loop(tmp_path, "wait") as process:
        assert [process.stdout.readline() for _ in range(2)] == ["10\n", "20\n"]
        with (
            pytest.raises(BlockingIOError, match=f"process {process.pid} writes"),
            recorder(tmp_path),
        ):
            pass
        process.send_signal(signal.SIGKILL)
    run = recorder(tmp_path)
    cut_off = read_record(run.path)
    assert steps(cut_off) == [10, 20] and not cut_off.is_complete and not cut_off.is_result
    with run:
        run.evaluation(step=5, test_loss=0.5)
    assert steps(read_record(run.path)) == [5]
    (aside,) = (run.path.parent / "unfinished").iterdir()
    assert read_record(aside) == cut_off
    content = run.path.read_bytes()
    with (
        pytest.raises(FileExistsError, match="holds a finished run; move it away"),
        recorder(tmp_path),
    ):
        pass
    assert run.path.read_bytes() == content


def test_an_error_ends_the_record_with_its_reason_and_each_attempt_is_kept(tmp_path):
    for attempt, error in enumerate((RuntimeError("no data"), FileNotFoundError("x.npy"))):
        with pytest.raises(type(error)), recorder(tmp_path) as run:
            run.evaluation(step=attempt + 1, test_loss=1.0)
            raise error
        record = read_record(run.path)
        assert (
            record.status == "failed" and record.end["reason"] == f"{type(error).__name__}: {error}"
        )
    with pytest.raises(KeyboardInterrupt), recorder(tmp_path) as run:
        run.evaluation(step=3, test_loss=1.0)
        raise KeyboardInterrupt
    assert read_record(run.path).end is None
    kept = sorted((run.path.parent / "unfinished").iterdir())
    assert [steps(read_record(path)) for path in kept] == [[1], [2]]


def test_a_block_without_an_evaluation_is_a_failure(tmp_path):
    with (
        pytest.raises(ValueError, match=r"without a call of run.evaluation"),
        recorder(tmp_path) as run,
    ):
        pass
    assert read_record(run.path).status == "failed"
    with pytest.raises(RuntimeError, match="in the block of `with`"):
        run.evaluation(step=1, test_loss=0.5)


FULL_DISK = """
import resource, signal, sys
import jaxsched as js

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
with js.recorder(study="mine", experiment="sgd", seed=0, workdir=sys.argv[1]) as run:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # as on a full disk
    try:
        for step in range(1, 100):
            run.evaluation(step=step, test_loss=1 / step)
    except OSError:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # there is room again
        raise
"""


def test_nothing_is_written_after_a_line_that_was_torn_by_a_full_disk(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "OSError: cannot write to" in result.stderr
    (path,) = (tmp_path / "mine" / "records").iterdir()
    record = read_record(path)
    assert record.end is None
    assert steps(record) == list(range(1, len(record.evaluations) + 1)) != []


def test_a_last_metric_that_is_not_finite_is_a_divergence(tmp_path):
    with recorder(tmp_path) as run:
        run.evaluation(step=1, test_loss=np.float32("inf"), test_accuracy=0.1)
        run.evaluation(step=2, test_loss=math.nan, test_accuracy=0.1)
    record = read_record(run.path)
    assert [row["test_loss"] for row in record.evaluations] == ["inf", "nan"]
    assert record.end["reason"] == "diverged, at update 2 test_loss is nan"
    assert record.status == "diverged" and record.is_complete
    with recorder(tmp_path, seed=1) as run:  # one that came back has not diverged
        run.evaluation(step=1, test_loss=math.inf)
        run.evaluation(step=2, test_loss=0.5)
    assert read_record(run.path).status == "finished"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step": 3, "test_loss": 0.5}, "step 3: expected a step after 3"),
        ({"step": 0, "test_loss": 0.5}, "expected step as a whole number of at least 1, got 0"),
        ({"step": 4.5, "test_loss": 0.5}, "expected step as a whole number of at least 1, got 4.5"),
        ({"test_loss": "low"}, "expected a number as test_loss, got str 'low'"),
        ({"test_loss": True}, "expected a number as test_loss, got bool True"),
        ({"test_loss": np.zeros(3)}, "expected a number as test_loss, got ndarray"),
        ({"test_accuracy": 93.1}, r"a share within \[0, 1\], got 93.1; divide per cent by 100"),
        ({"accuracy": 0.9}, "with the examples it is of, train_accuracy or validation_accuracy or"),
        ({"test_return": 3.0}, r"are better; say recorder\(…, better=\{'return': 'higher'\}\)"),
        ({"learning_rate": 0.1}, "expected a value of a metric, such as test_loss, got none"),
        ({"test_loss": None}, "expected a value of a metric"),
        ({"test_loss": 1.0, "examples": -1}, "expected examples as a whole number of at least 1"),
        ({"test_loss": 1.0, "train_seconds": 9.0}, "expected train_seconds in all .* or in none"),
        ({"test_loss": 1.0, "crc32": 9}, "expected another name than crc32"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_is_lost(tmp_path, values, message):
    with recorder(tmp_path) as run:
        run.evaluation(step=3, test_loss=0.7)
        with pytest.raises(ValueError, match=message):
            run.evaluation(**{"step": 4, **values})
        run.evaluation(step=5, test_loss=0.6)
    assert steps(read_record(run.path)) == [3, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"study": "../x"}, "a study needs a name of letters"),
        ({"experiment": ""}, "an experiment needs a name of letters"),
        ({"seed": "0"}, "expected seed as a whole number of at least 0, got 0"),
        ({"config": {"model": {"net": object()}}}, "number as config.model.net, got object"),
        ({"better": {"return": "more"}}, "needs to say which values are better, .*got 'more'"),
    ],
)
def test_a_wrong_name_or_config_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=rf"recorder: .*{message}"):
        recorder(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_directions_are_known_by_name_or_said(tmp_path):
    better = {"test_return": "higher", "regret": "lower"}
    with recorder(tmp_path, better=better) as run:
        values = {"test_return": 200, "train_regret": 3.5, "validation_masked_lm_loss": 2.0}
        run.evaluation(step=1, test_top5_accuracy=0.9, grad_norm=1e30, **values)
    record = read_record(run.path)
    assert set(record.columns) == {"test_top5_accuracy", *values}
    assert record.metric("test_return") == Metric("test_return", "higher")
    assert record.metric("train_regret") == Metric("train_regret", "lower")
    assert record.metric("test_top5_accuracy") == Metric(
        "test_top5_accuracy", "higher", is_share=True
    )
    assert record.metric("grad_norm") is record.metric("train_seconds") is None
    assert known_metric("closs") is None
    assert record.header["metrics"]["return"] == {"better": "higher", "is_share": False}


def test_the_clock_stops_during_evaluation_and_recording(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(own_loop.time, "perf_counter", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    with recorder(tmp_path) as run:
        passes(2.0)
        with run.evaluating():
            passes(5.0)
            run.evaluation(step=1, test_loss=0.5)
            passes(1.0)
        passes(3.0)
        run.evaluation(step=2, test_loss=0.5)
    rows = read_record(run.path).evaluations
    seconds = [(row["train_seconds"], row["evaluation_seconds"]) for row in rows]
    assert seconds == [(2.0, 5.0), (5.0, 6.0)]
    with recorder(tmp_path, seed=1) as run:
        run.evaluation(step=1, test_loss=0.5, train_seconds=7.5)
    (row,) = read_record(run.path).evaluations
    assert row["train_seconds"] == 7.5 and "evaluation_seconds" not in row


def test_a_seed_in_the_config_makes_no_other_experiment(tmp_path):
    names = [
        re.sub(r"seed\d", "seed", recorder(tmp_path, seed=seed, config=config).path.name)
        for seed, config in enumerate([{"lr": 1, "seed": 0}, {"seed": 1, "lr": 1}, {"lr": 2}])
    ]
    assert names[0] == names[1] != names[2]


def test_a_record_is_json_of_plain_numbers(tmp_path):
    with recorder(tmp_path, config={"lr": np.float64(0.5), "sizes": (8, np.int64(16))}) as run:
        run.evaluation(step=np.int64(1), test_loss=np.ones((1, 1), np.float32))
    header, row, _ = map(json.loads, run.path.read_text().splitlines())
    assert header["config"] == {"lr": 0.5, "sizes": [8, 16]}
    assert (row["step"], row["test_loss"]) == (1, 1.0)
