"""Statistics of a metric of which lower is better are those of its mirror image."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsched.bench import (
    MedianBest,
    Target,
    compare_final,
    compare_times,
    earliest_significant,
    evidence,
    resolve_target,
    summarise,
    times_to_target,
)
from jaxsched.bench.report.curves import worst_shown
from jaxsched.bench.report.results import Results
from jaxsched.bench.study.manifest import StudyManifest
from jaxsched.metric import Metric
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

SCORE, COST = Metric("test_score", "higher"), Metric("test_cost", "lower")
SEEDS = range(6)


def runs(values, metric, sign):
    """Two experiments' runs, of which `values` has the values by experiment and seed."""
    return [
        Record(
            {"name": name, "seed": seed, "digest": "0", "metrics": declared(metric)},
            tuple(
                {"step": 10 * n, "test_" + metric.name.removeprefix("test_"): sign * value}
                for n, value in enumerate(of, start=1)
            ),
            {"status": "finished", "reason": ""},
        )
        for name, seeds in values.items()
        for seed, of in enumerate(seeds)
    ]


def declared(metric):
    return {metric.name.removeprefix("test_"): {"better": metric.better, "is_share": False}}


curves = st.lists(st.integers(-50, 50).map(lambda n: n / 8), min_size=4, max_size=4)
values = st.fixed_dictionaries(
    {name: st.lists(curves, min_size=len(SEEDS), max_size=len(SEEDS)) for name in ("a", "b")}
)


@settings(max_examples=30, deadline=None)
@given(values, st.integers(-50, 50).map(lambda n: n / 8))
def test_the_mirror_image_gives_the_mirrored_statistics(values, target):
    scores, costs = runs(values, SCORE, 1), runs(values, COST, -1)
    high, low = Target(target, SCORE), Target(-target, COST)
    assert times_to_target(scores, high, "step") == times_to_target(costs, low, "step")
    assert compare_times(scores, "a", high, "step") == compare_times(costs, "a", low, "step")
    (up,), (down,) = compare_final(scores, "a", SCORE.name), compare_final(costs, "a", COST.name)
    assert (down.estimate, down.p_value) == (pytest.approx(-up.estimate), up.p_value)
    marks = [earliest_significant(of, at) for of, at in ((scores, high), (costs, low))]
    assert len({mark and mark["step"] for mark in marks}) == 1
    rule = MedianBest("b")
    best = resolve_target(rule, SCORE, scores).value
    assert resolve_target(rule, COST, costs).value == -best
    (one, _), (other, _) = summarise(scores, high), summarise(costs, low)
    assert (one.reached, one.steps, one.final_mean) == (
        other.reached, other.steps, pytest.approx(-other.final_mean)
    )  # fmt: skip


def results(metric, sign):
    values = {
        "a": [[1.0, 3.0 + seed / 10, 4.0] for seed in SEEDS],
        "b": [[2.0, 5.0, 6.0 + seed / 10] for seed in SEEDS],
    }
    records = runs(values, metric, sign)
    return Results.of(manifest(records, metric, sign * 4.5, (sign * 3.5,)), records)


def manifest(records, metric, target, further_targets=()):
    runs = tuple(Run(record.name, "0", record.header["seed"]) for record in records)
    return StudyManifest(
        name="s", runs=runs, target=target, further_targets=further_targets, baseline="a",
        published={}, metric=metric,
    )  # fmt: skip


def test_plots_begin_at_the_worse_end_without_the_first_evaluation():
    for metric, sign in ((SCORE, 1), (COST, -1)):
        assert worst_shown(results(metric, sign)) == pytest.approx(sign * 3.25)
        only = runs({"a": [[2.0], [1.0], [3.0]]}, metric, sign)
        found = Results.of(manifest(only, metric, sign * 4.5), only)
        assert worst_shown(found) == sign * 2.0


def test_claims_speak_of_the_metric():
    found = results(COST, -1)
    (final,), (steps,) = found.by_final, found.by_steps
    text = evidence(final, steps, COST)
    assert text.startswith("fewer updates: reached by 6, baseline by 0 of 6 seeds, p = 0.031; ")
    assert "lower final cost: -2.25 [" in text and text.endswith(", p < 0.001")
    # Of the two targets a reaches one, at update 30, where b is at 20: 1/2 from τ = 1.5 to 4.
    assert found.profile is not None
    assert found.profile.scores == {"a": pytest.approx(2.5 / 3 / 2), "b": 1.0}
    assert "a reached a test cost of -4.5 in none of its runs." in found.caveats


def test_a_run_that_measured_something_else_is_refused_by_name():
    one, *others = runs({"a": [[1.0]] * 2}, SCORE, 1)
    study = manifest([one, *others], SCORE, 1.0)
    other = runs({"a": [[1.0]] * 2}, COST, 1)[1]
    message = (
        r"by test_score, of which higher is better, but a, seed 1, measured test_cost \(lower\)"
    )
    with pytest.raises(ValueError, match=message):
        Results.of(study, [one, other])
    lower = runs({"a": [[1.0]] * 2}, Metric("test_score", "lower"), 1)[1]
    with pytest.raises(ValueError, match=r"seed 1, measured test_score \(lower\)"):
        Results.of(study, [one, lower])
    assert Results.of(study, [one, *others]).summaries[0].reached == 2


def test_a_run_that_died_before_it_was_tested_is_a_miss():
    one, other = runs({"a": [[1.0]] * 2}, SCORE, 1)
    rows = ({"step": 10, "train_loss": 1.0},)
    died = Record(other.header, rows, {"status": "failed", "reason": "no memory"})
    found = Results.of(manifest([one, died], SCORE, 1.0), [one, died])
    (summary,) = found.summaries
    assert (summary.reached, summary.seeds, summary.final_n) == (1, 2, 1)
    assert summary.misses == ("seed 1: no memory",)
    ended = Record(other.header, rows, {"status": "finished", "reason": ""})
    with pytest.raises(ValueError, match=r"a, seed 1, measured train_loss \(lower\)"):
        Results.of(manifest([one, ended], SCORE, 1.0), [one, ended])


def test_a_final_value_that_is_not_finite_is_left_out_of_the_mean_and_said():
    records = runs({"a": [[3.0, 2.0]] * 2}, COST, 1)
    lost = ({"step": 10, "test_cost": 3.0}, {"step": 20, "test_cost": "nan"})
    records[1] = Record(records[1].header, lost, {"status": "diverged", "reason": "it is nan"})
    found = Results.of(manifest(records, COST, 2.5), records)
    (summary,) = found.summaries
    assert (summary.final_mean, summary.final_n, summary.reached, summary.seeds) == (2.0, 1, 1, 2)
    assert any(
        "final cost of a is a mean without 1 of its 2 runs" in said for said in found.caveats
    )
