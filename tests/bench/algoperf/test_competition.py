"""AlgoPerf's competition: the published scores, the rules by hand, and its own logs."""

import csv
import dataclasses
import gzip
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from jaxsched.bench import Results
from jaxsched.bench.algoperf import (
    Trial,
    Workload,
    read_measurements,
    read_studies,
    standing,
    write_studies,
)
from jaxsched.bench.algoperf.competition import VERSION_05
from jaxsched.bench.algoperf.rules import by_seconds
from jaxsched.bench.algoperf.studies import seed_of
from jaxsched.cli import main
from jaxsched.metric import Metric
from jaxsched.tracking import Record

TIMES = json.loads(
    gzip.decompress(Path(__file__).with_name("algoperf_v05_times.json.gz").read_bytes())
)


def record(submission, study, trial, rows, column="validation_loss"):
    found = tuple({"step": s, "train_seconds": t, column: v} for s, t, v in rows)
    header = {"name": submission, "seed": seed_of(study, trial), "metrics": {}}
    return Record(header, found, {"status": "finished"})


@pytest.fixture(scope="module")
def published():
    """Records that reach their target when the trials of the competition did."""
    records = {}
    for submission, workload, study, trial, before, seconds in TIMES["trials"]:
        workload = TIMES["workloads"][workload]
        of = VERSION_05[workload]
        rows = [(n + 1, 1.0, "nan") for n in range(before or 1)]
        if seconds is not None:
            rows.append((len(rows) + 1, seconds, of.target))
        name = TIMES["submissions"][submission]
        made = record(name, study, trial, rows, of.metric.name)
        records.setdefault(workload, []).append(made)
    return records


def hundred_points(found):
    """The scores as the competition's code integrates them: trapezoids between 100 points."""
    names, taus = list(found.counted), np.linspace(1, 4, 100)
    times = np.array([list(row.values()) for row in found.counted.values()])
    ratios = times / times.min(axis=0)
    heights = (ratios[:, :, None] <= taus).mean(axis=1)
    return dict(zip(names, np.trapezoid(heights, taus) / 3, strict=True))


def require_published(found):
    assert set(found.profile.scores) == set(TIMES["published_scores"])
    theirs = hundred_points(found)
    for name, score in TIMES["published_scores"].items():
        assert found.profile.scores[name] == pytest.approx(score, abs=0.0015)
        assert theirs[name] == pytest.approx(score, abs=5e-5)  # all digits that were published


def test_the_scores_are_those_that_were_published(published):
    require_published(standing(VERSION_05, published))


def test_that_the_fastest_trial_counts_would_change_one_score(published):
    """One submission's fastest trial in a study is not the first by evaluations."""
    first, fastest = (standing(VERSION_05, published, *order) for order in ((), (by_seconds,)))
    scores, others = first.profile.scores, fastest.profile.scores
    changes = {name: others[name] - scores[name] for name in scores}
    assert [name for name, change in changes.items() if abs(change) > 1e-4] == ["lawa_ema"]
    assert others["lawa_ema"] == pytest.approx(0.3431, abs=5e-5)


def test_targets_are_those_of_the_competition():
    targets = {
        name: {
            "metric": of.metric.name.removeprefix("validation_"),
            "target": of.target,
            "better": of.metric.better,
        }
        for name, of in VERSION_05.items()
    }
    assert targets == TIMES["targets"]
    assert [n for n, of in VERSION_05.items() if of.base] == TIMES["held_out_workloads"]


LOSS = Metric("validation_loss", "lower")
WORKLOADS = {
    "one": Workload(LOSS, 0.5),
    "two": Workload(LOSS, 0.5),
    "one_wide": Workload(LOSS, 0.5, base="one"),
}


def trials(name, *studies):
    """The records of studies, each of which has the seconds of its trials at the target."""
    return [
        record(
            name, study, trial, [(1, 0.1, 0.9), (2, seconds, 0.4 if seconds < math.inf else 0.8)]
        )
        for study, of in enumerate(studies)
        for trial, seconds in enumerate(of, start=1)
    ]


def test_times_are_medians_over_studies_of_the_best_trial():
    miss = math.inf
    records = {
        "one": [*trials("a", [30.0, 20.0], [50.0, miss], [miss, 40.0]), *trials("b", [10.0])],
        "two": [*trials("a", [9.0], [miss], [miss]), *trials("b", [5.0])],
    }
    found = standing(WORKLOADS, records)
    assert found.times["a"] == {"one": 40.0, "two": miss, "one_wide": miss}
    assert found.counted["a"] == {"one": 40.0, "two": miss}
    assert found.reasons["a"] == {"two": "missed"}
    # On `one` a has 4 times the fastest, which just counts, at the very end of the profile.
    assert found.profile.scores == {"a": 0.0, "b": 1.0}


def test_a_variant_that_is_missed_or_slow_takes_its_workload_away():
    records = {
        "one": [r for n, s in (("a", 10.0), ("b", 12.0), ("c", 41.0), ("d", 20.0))
                for r in trials(n, [s])],
        "two": [r for n in "abcd" for r in trials(n, [5.0])],
        "one_wide": [*trials("a", [math.inf]), *trials("b", [30.0]), *trials("c", [1.0]),
                     *trials("d", [121.0])],
    }  # fmt: skip
    found = standing(WORKLOADS, records)
    reasons = {name: of.get("one") for name, of in found.reasons.items()}
    assert reasons["a"] == "variant missed" and reasons["c"] == "over 4 times"
    # c is fastest on the variant, with 1 s; b and d are over 4 times as slow.
    assert reasons["b"] == reasons["d"] == "variant over 4 times"
    del records["one_wide"][2]
    found = standing(WORKLOADS, records)
    assert {n: of.get("one") for n, of in found.reasons.items()} == {
        "a": "variant missed", "b": None, "c": "over 4 times", "d": "variant over 4 times"
    }  # fmt: skip


def test_a_variants_time_of_who_missed_the_workload_is_no_measure():
    records = {
        "one": [*trials("a", [10.0]), *trials("b", [math.inf])],
        "two": [*trials("a", [5.0]), *trials("b", [5.0])],
        "one_wide": [*trials("a", [50.0]), *trials("b", [1.0])],
    }
    assert standing(WORKLOADS, records).counted["a"]["one"] == 10.0


def made_up(submission, study, trial, **changes):
    """A trial on criteo1tb that reaches the target at its third evaluation, after 30 + trial s."""
    given = Trial(
        submission=submission, workload="criteo1tb", study=study, trial=trial, framework="jax",
        steps=(1, 100, 250), seconds=(1.5, 12.25, 30.0 + trial), values=(0.7, math.nan, 0.12),
    )  # fmt: skip
    return dataclasses.replace(given, **changes)


TRIALS = [made_up("mine", study, trial) for study in (0, 1) for trial in (1, 2)]
TRIALS += [made_up("theirs", study, 1, workload="wmt", values=(1.0, 31.0, 2.0)) for study in (0, 1)]
TRIALS += [made_up("theirs", 0, 3, values=(0.7, 0.6, math.nan))]


def write_log(folder, trial):
    """Writes a log as AlgoPerf's runner does, with pandas' columns and cells."""
    column = VERSION_05[trial.workload].metric.name.replace("validation_", "validation/")
    place = folder / f"study_{trial.study}" / f"{trial.workload}_{trial.framework}"
    path = place / f"trial_{trial.trial}" / "eval_measurements.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        names = (
            "accumulated_eval_time", "accumulated_logging_time", "accumulated_submission_time",
            "global_step", "preemption_count", "score", "test/num_examples", "total_duration",
            "train/loss", column, "validation/num_examples",
        )  # fmt: skip
        writer = csv.DictWriter(file, names, restval="0.5")
        writer.writeheader()
        for step, seconds, value in zip(trial.steps, trial.seconds, trial.values, strict=True):
            cell = "" if math.isnan(value) else repr(value)
            numbers = {
                "accumulated_submission_time": seconds,
                "global_step": step,
                "score": seconds,
            }
            writer.writerow({**numbers, column: cell})
    return path


def same(one, other):
    return [repr(trial) for trial in one] == [repr(trial) for trial in other]


def test_logs_of_the_runner_are_read(tmp_path):
    for trial in TRIALS:
        write_log(tmp_path / "logs" / f"{trial.submission}-2024-03-01-12-00-59", trial)
    found = read_measurements(tmp_path / "logs")
    order = {repr(trial): trial for trial in TRIALS}
    assert {repr(trial) for trial in found.trials} == set(order)
    one = read_measurements(tmp_path / "logs" / "theirs-2024-03-01-12-00-59")
    assert {trial.submission for trial in one.trials} == {"theirs"} and len(one.trials) == 3


def test_a_resumed_log_counts_each_step_once_and_hyperparameters_are_kept(tmp_path):
    trial = made_up("mine", 0, 1, steps=(1, 100, 1, 100, 250), seconds=(1.0, 2.0, 3.0, 4.0, 5.0),
                    values=(0.7, 0.6, 0.7, 0.6, 0.1))  # fmt: skip
    path = write_log(tmp_path / "mine", trial)
    path.with_name("hparams.json").write_text('{"learning_rate": 0.001}')
    (found,) = read_measurements(tmp_path / "mine").trials
    assert (found.steps, found.seconds) == ((1, 100, 250), (1.0, 2.0, 5.0))
    assert found.hyperparameters == {"learning_rate": 0.001}


def test_logs_that_are_none_are_refused_by_name(tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match=r"there is no .*nothing"):
        read_measurements(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"expected AlgoPerf's logs in .*found none"):
        read_measurements(tmp_path)
    path = write_log(tmp_path / "mine", made_up("mine", 0, 1))
    path.write_text("global_step,accumulated_submission_time\n1,2\n")
    with pytest.raises(ValueError, match=r"validation/loss, got KeyError\('validation/loss'\)"):
        read_measurements(tmp_path / "mine")
    (tmp_path / "wrong" / "place").mkdir(parents=True)
    path.rename(tmp_path / "wrong" / "place" / path.name)
    with pytest.raises(ValueError, match="expected AlgoPerf's log as SUBMISSION/study_0"):
        read_measurements(tmp_path / "wrong")
    path = write_log(tmp_path / "other" / "x", made_up("x", 0, 1))
    path.parents[1].rename(path.parents[2] / "mnist_jax")
    with pytest.raises(ValueError, match=r"workloads of AlgoPerf 0.5 .*, got mnist"):
        read_measurements(tmp_path / "other")
    damaged = tmp_path / "damaged.json.gz"
    damaged.write_bytes(b"{}")
    with pytest.raises(SystemExit) as end:
        main(["algoperf", str(damaged), "--output", str(tmp_path / "out")])
    assert end.value.code == 2 and "does not hold measurements" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The output of the command for a file of measurements."""
    folder = tmp_path_factory.mktemp("algoperf")
    fields = {"steps": "step", "values": "value"}
    content = {
        **{name: TIMES[name] for name in ("base_workloads", "held_out_workloads", "targets")},
        "source": "made up, no licence",
        "published_scores": {"mine": 0.5},
        "trials": [
            {
                fields.get(name, name): [None if v != v else v for v in value]
                if isinstance(value, tuple)
                else value
                for name, value in dataclasses.asdict(trial).items()
                if name != "hyperparameters"
            }
            for trial in TRIALS
        ],
    }
    (folder / "file.json").write_text(json.dumps(content))
    main(["algoperf", str(folder / "file.json"), "--output", str(folder / "out")])
    return folder


def test_a_file_becomes_studies_whose_records_hold_the_measurements(written):
    competition = read_measurements(written / "file.json")
    assert same(competition.trials, TRIALS)
    results = Results.read([written / "out" / "criteo1tb"])
    assert results.target.words == "a validation loss of 0.123735"
    reached = {summary.name: (summary.reached, summary.steps) for summary in results.summaries}
    assert reached == {"mine": (4, 250.0), "theirs": (0, None)}
    (lost,) = results.runs_of("theirs")
    assert lost.status == "diverged" and lost.evaluations[-1]["validation_loss"] == "nan"
    folders = write_studies(competition, written / "out")  # keeps what is there
    records = read_studies(competition, folders)
    assert {name: len(runs) for name, runs in records.items()} == {"criteo1tb": 5, "wmt": 2}


def test_the_page_has_the_scores_and_the_times(written):
    page = (written / "out" / "competition.html").read_text().partition('id="specs"')[0]
    text = " ".join(re.sub("<[^>]*>", " ", page).split())
    # By hand: each wins one of the two scored workloads and misses the other.
    assert "mine 0.5000 0.5000 +0.0000" in text
    assert "made up, no licence" in text and "There are no trials on fastmri" in text
    assert f"mine {31 / 3600:.2f} missed" in text
    assert "mine has no trial on wmt, which counts as a miss." in text


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_draws_in_a_browser_and_never_scrolls_sideways(browser, written, width):
    browser.driver.get_log("browser")
    browser.open(written / "out" / "competition.html", width=width, scheme="dark")
    assert browser.driver.get_log("browser") == []
    assert browser.ask("document.querySelectorAll('.chart svg.marks').length") == 2
    assert browser.ask("document.documentElement.scrollWidth") <= width
    count = "document.querySelectorAll('[data-spec=profile] .mark-line path').length"
    assert browser.ask(count) == 2
    browser.find('input[value="\\"theirs\\""]').send_keys(" ")
    browser.until(f"return {count} === 1")


@pytest.mark.slow
def test_the_whole_file_of_measurements_gives_the_published_scores(tmp_path):
    """The file is too large for the repository: ALGOPERF_MEASUREMENTS names it."""
    path = os.environ.get("ALGOPERF_MEASUREMENTS")
    if path is None:
        pytest.skip("needs ALGOPERF_MEASUREMENTS, a file of all measurements of the competition")
    competition = read_measurements(Path(path))
    records = read_studies(competition, write_studies(competition, tmp_path))
    assert sum(map(len, records.values())) == len(TIMES["trials"]) == 3654
    require_published(standing(competition.workloads, records))
