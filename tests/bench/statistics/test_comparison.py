"""Paired comparisons: worked examples, SciPy, and error rates under simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxsched.bench import Target, compare_final, compare_times
from jaxsched.bench.study.manifest import TEST_ACCURACY

TARGET = Target(0.9, TEST_ACCURACY)


def accuracies(run, name, values):
    return [run([value], name=name, seed=seed) for seed, value in enumerate(values)]


def test_accuracy_has_the_paired_t_test(run):
    base, other = [0.90, 0.92, 0.88, 0.91], [0.91, 0.94, 0.885, 0.93]
    records = accuracies(run, "base", base) + accuracies(run, "other", other)
    (found,) = compare_final(records, "base", "test_accuracy")
    test = stats.ttest_rel(other, base)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    differences = np.subtract(other, base)
    assert found.estimate == pytest.approx(differences.mean())
    assert found.effect_size == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert found.p_corrected == found.p_value


def test_seeds_are_paired_by_number_not_by_place(run):
    base = accuracies(run, "base", [0.1, 0.5, 0.9])
    other = accuracies(run, "other", [0.2, 0.6, 1.0, 0.3])[::-1]
    (found,) = compare_final(base + other, "base", "test_accuracy")
    assert found.n == 3
    assert found.estimate == pytest.approx(0.1)


def test_one_pair_has_no_p_and_claims_nothing(run):
    records = accuracies(run, "base", [0.5]) + accuracies(run, "other", [0.9])
    for (found,) in (
        compare_final(records, "base", "test_accuracy"),
        compare_times(records, "base", Target(0.4, TEST_ACCURACY), "step"),
    ):
        assert (found.n, found.p_value, found.p_corrected) == (1, None, None)
        assert not found.is_significant


def timed(run, name, steps, known_to=1):
    """Runs that reach 0.9 at these updates, or never, and were evaluated so many before."""
    return [
        run([0.1, 0.1, 0.1 if math.isinf(at) else 0.95], name=name, seed=seed, steps=steps)
        for seed, at in enumerate(steps)
        for steps in [[0, min(at, 1e9) - known_to, min(at, 1e9)]]
    ]


def compared(run, base, other, known_to=1):
    records = timed(run, "base", base, known_to) + timed(run, "other", other, known_to)
    (found,) = compare_times(records, "base", TARGET, "step")
    return found


def test_times_have_the_paired_t_test_of_their_logarithms(run):
    base, other = [100, 120, 90, 110, 105, 95, 130], [90, 100, 85, 112, 80, 94, 100]
    found = compared(run, base, other)
    test = stats.ttest_rel(np.log(other), np.log(base))
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.estimate == pytest.approx(stats.gmean(np.divide(other, base)))
    interval = np.exp(tuple(test.confidence_interval()))
    assert (found.low, found.high) == pytest.approx(tuple(interval))
    assert found.is_lower


def test_times_between_few_evaluations_are_as_uncertain_as_these(run):
    """All are 4 or 3 of 16 evaluations; each is known to a fifth or so of itself."""
    found = compared(run, [4, 4, 4], [3, 3, 3])
    sd = math.sqrt((1 / 4**2 + 1 / 3**2) / 12)
    t = math.log(4 / 3) / (sd / math.sqrt(3))
    assert found.p_value == pytest.approx(2 * stats.t.sf(t, 2))
    closer = compared(run, [400, 400, 400], [300, 300, 300])
    assert closer.p_value < 1e-4 < found.p_value


@pytest.mark.parametrize(
    ("base", "other"),
    [
        ([100.0] * 6, [80.0, 80.0, 125.0, 50.0, 64.0, math.inf]),  # ties, of both signs
        ([100.0, math.inf, 100.0, math.inf, 100.0], [90.0, 70.0, math.inf, math.inf, 60.0]),
    ],
)
def test_misses_have_the_p_value_of_all_sign_changes(run, base, other):
    signs = [(b > o) - (b < o) for b, o in zip(base, other, strict=True)]
    logs = [
        math.inf if math.inf in (b, o) else abs(math.log(b / o))
        for b, o in zip(base, other, strict=True)
    ]
    pairs = [(sign, log) for sign, log in zip(signs, logs, strict=True) if sign]
    ranks = stats.rankdata([round(log, 9) for _, log in pairs])
    total = sum(sign * rank for (sign, _), rank in zip(pairs, ranks, strict=True))
    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product((-1, 1), repeat=len(pairs))]
    expected = np.mean([other >= abs(total) - 1e-9 for other in sums])
    found = compared(run, base, other)
    assert found.p_value == pytest.approx(expected)
    assert found.effect_size == pytest.approx(-total / ranks.sum())  # a win is a lower time
    assert (found.low, found.high) == (None, None)


def test_differences_that_vary_by_rounding_alone_have_no_test(run):
    """Without the guard Student's t would be enormous."""
    records = accuracies(run, "base", [0.1, 0.5, 0.9]) + accuracies(run, "other", [0.2, 0.6, 1.0])
    (found,) = compare_final(records, "base", "test_accuracy")
    assert (found.p_value, found.is_significant) == (None, False)


def test_with_misses_six_pairs_that_agree_are_the_fewest_that_can_be_claimed(run):
    for n, p in ((3, 2 / 8), (5, 2 / 32), (6, 2 / 64)):
        found = compared(run, [100 + i for i in range(n - 1)] + [math.inf], [50] * n)
        assert found.p_value == pytest.approx(p)
        assert found.is_significant == (n == 6)


def test_a_miss_is_the_largest_of_times_and_never_a_number(run):
    found = compared(run, [100.0] * 6, [200, 210, 220, 230, 240, math.inf])
    assert (found.p_value, found.effect_size) == (pytest.approx(2 / 64), 1.0)
    assert (found.missed, found.baseline_missed, found.both_missed) == (1, 0, 0)
    assert found.estimate == pytest.approx(math.sqrt(2.2 * 2.3))
    won = compared(run, [math.inf] * 6, [100.0] * 6)
    assert (won.estimate, won.effect_size, won.baseline_missed) == (None, -1.0, 6)
    assert won.is_significant and won.is_lower


def test_seeds_that_both_missed_tell_nothing(run):
    both = compared(run, [math.inf] * 3, [math.inf] * 3)
    assert (both.estimate, both.p_value, both.both_missed) == (None, None, 3)
    found = compared(run, [100, math.inf, 90, math.inf], [50, 40, 50, math.inf])
    without = compared(run, [100, math.inf, 90], [50, 40, 50])
    assert (found.p_value, found.estimate) == (without.p_value, without.estimate)
    assert (found.n, found.baseline_missed, found.both_missed) == (4, 1, 1)


def test_a_median_of_ratios_is_the_reciprocal_of_the_exchanged_one(run):
    base, other = [100, 100, 100, 100, 80], [50, 80, 100, 200, math.inf]
    there, back = compared(run, base[1:], other[1:]), compared(run, other[1:], base[1:])
    assert there.estimate == pytest.approx(math.sqrt(1.0 * 2.0))  # of 0.8, 1, 2 and ∞
    assert back.estimate == pytest.approx(1 / there.estimate)
    assert compared(run, base, other).estimate == 1.0  # of 0.5, 0.8, 1, 2 and ∞


def test_a_median_between_a_ratio_and_a_miss_is_no_number(run):
    """0 and 0.5 have no middle: by how much a run that never arrives is slower, nobody knows."""
    base, other = [100, 100, math.inf, math.inf], [50, 50, 60, 60]
    assert compared(run, base, other).estimate is None
    assert compared(run, other, base).estimate is None


def test_a_target_reached_before_the_first_update_counts(run):
    start = [run([0.95], name=name, seed=seed, steps=[0]) for name in "ab" for seed in range(3)]
    (found,) = compare_times(start, "a", TARGET, "step")
    assert (found.estimate, found.p_value) == (1.0, 1.0)


finals = st.lists(st.integers(0, 200).map(lambda n: n / 200), min_size=4, max_size=4)
marks = st.lists(st.integers(5, 30).map(lambda n: 10 * n), min_size=4, max_size=4)


@settings(max_examples=60, deadline=None)
@example([([0.0] * 4, [50, 50, 50, 230]), ([0.0] * 4, [50, 50, 230, 50])], 0.0)  # logs cancel
@given(st.lists(st.tuples(finals, marks), min_size=2, max_size=6), st.floats(0.0, 0.4))
def test_an_interval_leaves_no_difference_out_exactly_where_p_is_significant(run, drawn, apart):
    """And the p-values are SciPy's, whose correction is Holm's."""
    values = [
        [[f + apart * number for f in of], [round(m * (1 - apart) ** number) for m in at]]
        for number, (of, at) in enumerate(drawn)
    ]
    accurate = [
        record for n, (of, _) in enumerate(values) for record in accuracies(run, str(n), of)
    ]
    times = [record for n, (_, at) in enumerate(values) for record in timed(run, str(n), at)]
    for found, none, place, scale in (
        (compare_final(accurate, "0", "test_accuracy"), 0.0, 0, np.asarray),
        (compare_times(times, "0", TARGET, "step"), 1.0, 1, np.log),
    ):
        for number, one in enumerate(found, start=1):
            if one.p_value is None:
                assert (one.low, one.high) == (None, None)
                continue
            assert one.is_significant == (not one.low <= none <= one.high)
            assert one.low <= one.estimate <= one.high
            assert one.is_lower == (one.estimate < none)
            with np.errstate(all="ignore"):
                changes = scale(values[number][place]) - scale(values[0][place])
                expected = stats.ttest_1samp(changes, 0.0).pvalue if np.ptp(changes) else 0.0
            if place == 0:
                assert one.p_value == pytest.approx(expected)
            else:  # times are known to single updates only
                assert one.p_value >= expected - 1e-9


def noisy(run, rng, name, n, speedup, noise):
    """Times vary by 2 % with the seed, equally for all methods, and by `noise` for each run."""
    shared = np.random.default_rng(1000).normal(0, 0.02, n)  # a seed's own data order
    times = 1000 / speedup * np.exp(shared + rng.normal(0, noise, n))
    return timed(run, name, [10 * math.ceil(time / 10) for time in times], known_to=10)


def claims(run, seed, *, n, others, noise=0.02):
    """For each other method: whether it is claimed to differ from the baseline."""
    rng = np.random.default_rng(seed)
    records = noisy(run, rng, "base", n, 1.0, noise)
    for number, speedup in enumerate(others):
        records += noisy(run, rng, f"other{number}", n, speedup, noise)
    return [c.is_significant for c in compare_times(records, "base", TARGET, "step")]


def test_a_method_that_is_3_percent_faster_is_found_with_enough_seeds(run):
    found = np.mean([claims(run, seed, n=25, others=[1.03]) for seed in range(60)])
    assert found > 0.9


def test_it_is_rarely_found_with_few_seeds_and_never_with_one(run):
    for n, most in ((1, 0.0), (3, 0.4)):
        assert np.mean([claims(run, seed, n=n, others=[1.03]) for seed in range(60)]) <= most


@pytest.mark.parametrize(("n", "level"), [(2, 0.05), (3, 0.002)])
def test_times_that_agree_by_rounding_make_no_false_claims(run, n, level):
    """Of two equal methods whose times, 1,000 ∓ 30, are measured every 25 updates.

    Among so few times some pairs differ by nearly the same, whose t would be enormous.
    """
    rng, draws = np.random.default_rng(0), 600
    times = 25 * np.ceil(40 * np.exp(rng.normal(0, 0.03, (draws, 2, n))))
    wrong = np.mean([compared(run, *pair, known_to=25).p_value < level for pair in times])
    assert wrong < level + 3 * math.sqrt(level / draws)


def test_among_ten_methods_that_are_no_faster_a_claim_is_rare(run):
    """At most one study in 20 may claim something; three standard errors for 50 studies."""
    wrong = np.mean([any(claims(run, seed, n=11, others=[1.0] * 10)) for seed in range(50)])
    assert wrong < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 50)


def test_the_order_of_the_records_changes_nothing(run):
    rng = np.random.default_rng(0)
    records = noisy(run, rng, "base", 8, 1.0, 0.02) + noisy(run, rng, "other", 8, 1.03, 0.02)
    shuffled = [records[i] for i in rng.permutation(len(records))]
    (one,) = compare_times(records, "base", TARGET, "step")
    (other,) = compare_times(shuffled, "base", TARGET, "step")
    assert one == other
