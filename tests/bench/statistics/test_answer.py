"""The answer in words: true and short whatever the runs did."""

import itertools
import math
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxsched.bench import StudyManifest, Target
from jaxsched.bench.statistics import compare_times
from jaxsched.bench.statistics.answer import answer, shown_worse
from jaxsched.metric import Metric
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

ACCURACY, LOSS = Metric("test_accuracy", "higher", is_share=True), Metric("test_loss", "lower")
MISS = math.inf
NOISE = (0, 3, -2, 4, -1, 2)  # of seeds


def record(name, seed, time, final, metric, target, status="finished"):
    """A run that is evaluated every update, of which four rows are enough."""
    worse = target + (1 if metric.better == "lower" else -0.5)
    at = 900 if math.isinf(time) else time
    rows = [(at - 2, worse), (at - 1, worse), (at, worse if math.isinf(time) else target)]
    values = [*rows, (2000, final)]
    columns = tuple({"step": step, metric.name: value} for step, value in values)
    header = {"name": name, "seed": seed, "digest": "0"}
    return Record(header, columns, {"status": status, "reason": ""})


def answered(times, finals=None, *, metric=ACCURACY, target=0.9, baseline="a", planned=None, **end):
    """The answer of a study, by the times to the target of each experiment's seeds."""
    records = []
    for name, of in times.items():
        for seed, time in enumerate(of):
            missed = target - 0.1 if metric.better == "higher" else target + 0.1
            final = (finals or {}).get(name, [missed if math.isinf(time) else target] * 99)[seed]
            records.append(record(name, seed, time, final, metric, target, **end.get(name, {})))
    runs = planned or [(r.name, r.header["seed"]) for r in records]
    manifest = StudyManifest(
        name="s", runs=tuple(Run(name, "0", seed) for name, seed in runs), target=target,
        further_targets=(), baseline=baseline, published={}, metric=metric,
    )  # fmt: skip
    return answer(manifest, records, Target(target, metric))


def near(time, n=5):
    return [time + noise for noise in NOISE[:n]]


def test_a_clear_winner_saves_a_share_of_the_baseline_s_updates():
    times = {"a": [1000, 1020, 980, 1040, 1010], "b": [600, 640, 610, 630, 590]}
    test = stats.ttest_rel(np.log(times["b"]), np.log(times["a"]))
    low, high = (f"{1 - math.exp(end):.0%}" for end in reversed(test.confidence_interval()))
    saved = f"{1 - stats.gmean(times['b']) / stats.gmean(times['a']):.0%}"
    assert test.pvalue < 0.001
    assert answered(times) == (
        "b reaches 90.0% test accuracy in 610 updates (median of 5 seeds); a is shown to need more."
        f" It saves {saved} of the updates of the baseline a (interval {low} to {high}, p < 0.001)."
    )
    assert answered(times, baseline="b") == (
        "b (the baseline) reaches 90.0% test accuracy in 610 updates (median of 5 seeds); a is "
        "shown to need more."
    )


def test_those_as_fast_are_named_together_and_those_not_shown_to_be_slower_too():
    times = {
        "a": near(1000), "b": near(600), "c": [602, 597, 600, 604, 599],
        "d": [700, 500, 720, 610, 690],
    }  # fmt: skip
    assert answered(times) == (
        "b and c reach 90.0% test accuracy in 600 updates (median of 5 seeds); no difference "
        "between them, or from d (690), is shown; a is shown to need more. c saves 40% of the "
        "updates of the baseline a (interval 39.6% to 40.4%, p < 0.001); b and d are shown to save "
        "some too."
    )


def test_many_are_counted_not_listed():
    times = {f"name{k}": near(1000 + 40 * (k % 5)) for k in range(17)}
    times["name3"] = near(600)
    times |= {f"name{k}": [MISS] * 5 for k in range(12, 17)}
    text = answered(times, baseline="name0")
    assert "all others that did are shown to need more" in text
    assert len(set(re.findall(r"name\d+", text))) <= 5
    assert text.count(". ") <= 3
    assert "name12, name13, name14 and 2 others reached it in none of their runs." in text


def test_nobody_reached_it():
    times = {name: [MISS] * 5 for name in "abc"}
    finals = {
        "a": [0.80, 0.81, 0.79, 0.80, 0.82],
        "b": [0.88, 0.89, 0.87, 0.885, 0.895],
        "c": [0.87, 0.899, 0.86, 0.89, 0.88],
    }
    assert answered(times, finals) == (
        "No run reached 90.0% test accuracy. b came nearest, with 88.40%, 1.60 points short (mean "
        "of 5 seeds); no difference from c is shown; a is shown to end worse."
    )
    times["c"] = [800, MISS, MISS, MISS, 850]
    assert answered(times, finals).startswith(
        "No experiment reached 90.0% test accuracy in more than half of its runs; c did in 2 of 5."
    )


def test_a_loss_is_too_high_where_nobody_reached_it():
    finals = {"a": [2.5, 2.6, 2.4], "b": [2.2, 2.3, 2.1]}
    text = answered({"a": [MISS] * 3, "b": [MISS] * 3}, finals, metric=LOSS, target=2.0)
    assert text == (
        "No run reached a test loss of 2. b came nearest, with 2.2, 0.2 too high (mean of 3 seeds)."
    )


def test_only_the_baseline_reached_it():
    assert answered({"a": near(700, 3), "b": [MISS] * 3}) == (
        "Only a (the baseline) reaches 90.0% test accuracy in 700 updates (median of 3 seeds)."
    )


def test_one_run_each_makes_no_claim():
    unknown = "nothing is known about the variation between seeds)"
    assert answered({"a": [800], "b": [600], "c": [MISS]}) == (
        "b reaches 90.0% test accuracy in 600 updates, the fewest of 3 experiments (one run each, "
        f"so {unknown}. c reached it in none of 1 seed."
    )
    assert answered({"a": [800]}).endswith(f"800 updates (one run, so {unknown}.")


def test_five_seeds_with_misses_fall_back_on_final_values():
    times = {"a": [*near(900, 3), MISS, MISS], "b": near(500)}
    finals = {"a": [0.90, 0.91, 0.90, 0.80, 0.81], "b": [0.95, 0.96, 0.95, 0.85, 0.87]}
    text = answered(times, finals)
    assert "No saving against the baseline a is shown (5 seeds cannot show one where runs" in text
    assert "missed the target), but the final accuracy of b is shown to be better (+5." in text
    same = answered(times, {"a": finals["a"], "b": [0.90, 0.91, 0.91, 0.80, 0.80]})
    assert same.endswith("missed the target), and no better final accuracy.")


def test_misses_deaths_and_missing_runs_are_counted():
    times = {"a": near(700, 3), "b": [650, MISS, MISS], "c": [MISS] * 3}
    planned = list(itertools.product("abcd", range(3)))
    text = answered(times, planned=planned, c={"status": "diverged"})
    assert text.endswith(
        "b reached it in 1 of 3 seeds, c in none of 3 seeds (3 diverged). 9 of 12 runs have ended "
        "so far."
    )


def test_a_target_that_all_reach_at_once_tells_nothing():
    rows = ({"step": 100, "test_accuracy": 0.95},)
    records = [
        Record({"name": name, "seed": seed, "digest": "0"}, rows, {"status": "finished"})
        for name in "ab" for seed in range(3)
    ]  # fmt: skip
    runs = tuple(Run(r.name, "0", r.header["seed"]) for r in records)
    manifest = StudyManifest(
        name="s", runs=runs, target=0.9, further_targets=(), baseline="a", published={}
    )
    text = answer(manifest, records, Target(0.9, ACCURACY))
    assert text.startswith("Every run was at 90.0% test accuracy by its first evaluation, so which")
    assert "ended best, with 95.00% (mean of 3 seeds)." in text


times_drawn = st.one_of(st.just(MISS), st.integers(50, 1500))
studies = st.dictionaries(
    st.sampled_from([f"x{n}" for n in range(9)]),
    st.lists(times_drawn, min_size=1, max_size=6),
    min_size=1,
    max_size=9,
)


@settings(max_examples=60, deadline=None)
@given(studies, st.sampled_from([ACCURACY, LOSS]))
def test_it_is_short_and_its_numbers_are_those_of_the_runs(times, metric):
    text = answered(times, metric=metric, baseline=min(times))
    assert not re.search(r"\b(nan|inf|None)\b|\+-|  ", text)
    assert text.count(". ") <= 3 and text.endswith(".")
    medians = {name: float(np.median(of)) for name, of in times.items()}
    least = min(medians.values())
    if math.isfinite(least):
        assert f" in {least:,.0f} updates" in text
        first = next(name for name in times if medians[name] == least)
        assert re.match(rf"(Only )?{first}\b", text)
    shown = re.findall(r"(?:^|; |, | and )([^;]*?) (?:is|are) shown to need more", text)
    for name in re.findall(r"x\d", " ".join(shown)):
        assert medians[name] > least


def test_of_equally_fast_methods_each_is_rarely_called_slower():
    """Though the fastest of each study is chosen by its own times: at most in one study of 20."""
    rng, slower, draws = np.random.default_rng(0), 0, 150
    target = Target(0.9, ACCURACY)
    for _ in range(draws):
        times = np.rint(5000 * np.exp(rng.normal(0, 0.1, (8, 6))))
        records = [
            record(str(name), seed, time, 0.9, ACCURACY, 0.9)
            for name, of in enumerate(times)
            for seed, time in enumerate(of)
        ]
        fastest = str(np.argmin(np.median(times, axis=1)))
        worse = shown_worse(compare_times(records, fastest, target, "step"), are_lower=False)
        slower += len(worse or ())
    assert slower / (8 * draws) < 0.05


def test_a_name_may_hold_braces():
    times = {"a": near(1000, 2), "b": near(600, 2), "{0}": [MISS, MISS], "}c": [900, MISS]}
    assert "}c reached it in 1 of 2 seeds, {0} in none of 2 seeds." in answered(times)
