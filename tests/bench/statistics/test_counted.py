"""Statistics of raw weights, of their averages, and of the better of the two."""

import dataclasses
import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxsched.bench import MedianBest, Results, StudyManifest, counted, write_report
from jaxsched.bench.report.tables import average_cells, summary_cells
from jaxsched.bench.study.manifest import TEST_ACCURACY
from jaxsched.metric import Metric
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

TARGET = 0.8
# By name and seed, the raw accuracy and that of the average at each evaluation, five updates apart.
# The raw weights of `swa` never reach the target; its average does, from the third evaluation on.
RUNS = {
    "plain": [[(0.50, None), (0.70, None), (0.75, None), (0.79 + seed / 50, None)]
              for seed in range(3)],
    "swa": [[(0.50, None), (0.72, 0.71), (0.70, 0.81 + seed / 50), (0.74, 0.90 - seed / 100)]
            for seed in range(3)],
}  # fmt: skip


def record(name, seed, values, status="finished"):
    rows = tuple(
        {"step": 5 * n, "test_accuracy": raw, "averaged_test_accuracy": averaged}
        for n, (raw, averaged) in enumerate(values, start=1)
    )
    header = {
        "name": name, "seed": seed, "digest": "0", "started": "2026-01-01", "config": {},
        "source": "", "command": "", "environment": {},
    }  # fmt: skip
    return Record(header, rows, {"status": status, "reason": ""})


def results_of(evaluate="averaged", runs=RUNS, **changes):
    records = [
        record(name, seed, values) for name in runs for seed, values in enumerate(runs[name])
    ]
    manifest = StudyManifest(
        name="s", runs=tuple(Run(r.name, "0", r.header["seed"]) for r in records), target=TARGET,
        further_targets=(0.7,), baseline="plain", published={}, evaluate=evaluate,
    )  # fmt: skip
    return Results.of(dataclasses.replace(manifest, **changes), records)


def summary(results, name, weights=None):
    found = results.by_weights[weights] if weights else results.summaries
    (one,) = (s for s in found if s.name == name)
    return one


values = st.one_of(st.just("nan"), st.floats(0, 1))


@given(st.lists(st.tuples(values, st.one_of(st.none(), values)), max_size=6), st.booleans())
def test_what_counts_at_each_evaluation(pairs, is_lower):
    metric = Metric("test_loss", "lower") if is_lower else TEST_ACCURACY
    rows = tuple(
        {"step": n, metric.name: raw, f"averaged_{metric.name}": averaged}
        for n, (raw, averaged) in enumerate(pairs)
    )
    whole = Record({}, rows, {})
    best = min if is_lower else max
    for evaluate, expected in {
        "raw": [raw for raw, _ in pairs],
        "averaged": [raw if averaged is None else averaged for raw, averaged in pairs],
        "better": [
            best((v for v in pair if isinstance(v, float)), default="nan") for pair in pairs
        ],
    }.items():
        view = counted(whole, metric, evaluate)
        assert [row[metric.name] for row in view.evaluations] == expected
        unchanged = [{**row, metric.name: None} for row in view.evaluations]
        assert unchanged == [{**row, metric.name: None} for row in rows]


@pytest.mark.parametrize("column", ["train_accuracy", "averaged_test_accuracy"])
def test_a_metric_without_an_average_counts_as_it_stands(column):
    run = Record({}, ({"step": 1, column: 0.5, "averaged_test_accuracy": 0.5},), {})
    assert counted(run, Metric(column, "higher", is_share=True), "averaged") is run


def test_an_average_wins_a_study_whose_target_its_raw_weights_never_reach():
    by_average, by_raw = results_of(), results_of("raw")
    assert (summary(by_average, "swa").steps, summary(by_average, "swa").reached) == (15, 3)
    assert (summary(by_raw, "swa").steps, summary(by_raw, "swa").reached) == (None, 0)
    for results in by_average, by_raw, results_of("better"):  # `plain` has no average to choose
        assert summary(results, "plain").steps == 20 and summary(results, "plain").reached == 2
    (steps,), (final,) = by_average.by_steps, by_average.by_final
    assert steps.estimate == 0.75 and final.estimate == pytest.approx(0.89 - 0.81)
    (final,) = by_raw.by_final
    assert final.estimate == pytest.approx(0.74 - 0.81)
    assert set(by_average.significantly_better) == {"swa"} and not by_raw.significantly_better
    assert by_average.profile.shares["swa"][-1] == 1 and by_raw.profile.shares["swa"][-1] == 0.5
    # Records and curves stay as they were recorded.
    assert [run.evaluations[-1]["test_accuracy"] for run in by_average.runs_of("swa")] == [0.74] * 3
    assert by_average.counted_of("swa")[0].evaluations[-1]["test_accuracy"] == 0.90


def test_a_target_by_rule_is_set_by_what_counts():
    rule = {"target": MedianBest("swa"), "further_targets": ()}
    assert results_of(**rule).target.value == 0.89
    assert results_of("raw", **rule).target.value == 0.74


def test_both_are_summarised_whichever_counts():
    for evaluate in ("averaged", "raw", "better"):
        results = results_of(evaluate)
        assert [s.name for s in results.by_weights["raw"]] == ["swa"]
        assert summary(results, "swa", "raw") == summary(results_of("raw"), "swa")
        assert summary(results, "swa", "averaged") == summary(results_of("averaged"), "swa")
    assert results_of(runs={"plain": RUNS["plain"]}).by_weights == {"raw": (), "averaged": ()}


def test_averages_are_compared_with_the_raw_weights_of_the_same_runs():
    other = [[(0.5, 0.5 + d)] for d in (0.01, -0.02, 0.04)]
    # The average of `once` is not measured at its last evaluation.
    runs = {**RUNS, "ema": other, "once": [[(0.5, 0.6), (0.9, None)]]}
    swa, ema, once = results_of("raw", runs).by_average
    expected = [
        stats.ttest_rel([0.90, 0.89, 0.88], [0.74] * 3),
        stats.ttest_rel([0.51, 0.48, 0.54], [0.5] * 3),
    ]
    # Of the smaller p-value the interval is wider, by Holm.
    for found, test, confidence in zip((swa, ema), expected, (0.975, 0.95), strict=True):
        assert found.n == 3 and found.p_value == pytest.approx(test.pvalue)
        interval = tuple(test.confidence_interval(confidence))
        assert (found.low, found.high) == pytest.approx(interval)
    assert swa.estimate == pytest.approx(0.15) and swa.baseline == "raw weights of swa"
    # Holm over the two that can be tested.
    assert swa.p_corrected == pytest.approx(2 * expected[0].pvalue)
    assert ema.p_corrected == pytest.approx(expected[1].pvalue)
    assert (once.n, once.estimate, once.p_value) == (1, pytest.approx(0.1), None)
    assert results_of(runs={"plain": RUNS["plain"]}).by_average == ()


def test_the_report_tells_both_and_says_which_counts(tmp_path):
    results = results_of()
    write_report(results, tmp_path)
    assert (
        "; averaged weights count where an experiment has them"
        in ((tmp_path / "summary.md").read_text().splitlines()[0])
    )
    heading, *rows = summary_cells(results, intervals=False).rows
    plain, swa = (dict(zip(heading, row, strict=True)) for row in rows)
    sd = 100 * statistics.stdev([0.90, 0.89, 0.88])
    assert swa["final accuracy, %"] == f"89.00 ± {sd:.2f}"
    assert (swa["raw, %"], swa["raw steps"]) == ("74.00 ± 0.00", "missed")
    assert (plain["raw, %"], plain["raw steps"]) == ("", "")
    _, against = average_cells(results)
    assert against[:2] == ("swa", "+15.00 [+12.52, +17.48]")
    assert f"| swa | {against[1]} |" in (tmp_path / "summary.md").read_text()
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["evaluate"] == "averaged"
    assert content["by_weights"]["raw"][0]["reached"] == 0
    assert content["by_average"][0]["estimate"] == pytest.approx(0.15)
    assert "By its averaged weights, which count, swa reached the target in 3 of 3 runs; by its " \
        "raw weights in 0." in content["caveats"]  # fmt: skip
    better = results_of("better").caveats
    assert any("luckier of two looks" in caveat and "for swa at" in caveat for caveat in better)
    plain = results_of(runs={"plain": RUNS["plain"]})
    assert plain.which_counts == "" and not any("weights" in caveat for caveat in plain.caveats)
