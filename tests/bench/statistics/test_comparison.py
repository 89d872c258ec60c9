"""Paired comparisons: worked examples, SciPy, and error rates under simulation."""

import itertools
import math

import numpy as np
import pytest
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


def timed(run, name, steps):
    """Runs that reach 0.9 at these updates, or never."""
    return [
        run([0.1, 0.1 if math.isinf(at) else 0.95], name=name, seed=seed, steps=[0, min(at, 1e9)])
        for seed, at in enumerate(steps)
    ]


def compared(run, base, other):
    records = timed(run, "base", base) + timed(run, "other", other)
    (found,) = compare_times(records, "base", TARGET, "step")
    return found


def test_times_have_the_exact_signed_rank_test(run):
    base, other = [100, 120, 90, 110, 105, 95, 130], [90, 100, 85, 112, 80, 94, 100]
    found = compared(run, base, other)
    expected = stats.wilcoxon(np.log(np.divide(other, base)), method="exact").pvalue
    assert found.p_value == pytest.approx(expected)
    assert found.estimate == pytest.approx(np.median(np.divide(other, base)))
    assert found.effect_size == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("base", "other"),
    [
        ([100.0] * 6, [80.0, 80.0, 125.0, 50.0, 64.0, 200.0]),  # ties, of both signs
        ([100.0, math.inf, 100.0, math.inf, 100.0], [90.0, 70.0, math.inf, math.inf, 60.0]),
    ],
)
def test_ties_and_misses_have_the_p_value_of_all_sign_changes(run, base, other):
    signs = [(b > o) - (b < o) for b, o in zip(base, other, strict=True)]
    logs = [
        math.inf if math.inf in (b, o) else abs(math.log(b / o))
        for b, o in zip(base, other, strict=True)
    ]
    pairs = [(sign, log) for sign, log in zip(signs, logs, strict=True) if sign]
    ranks = stats.rankdata([round(log, 9) for _, log in pairs])
    found = abs(sum(sign * rank for (sign, _), rank in zip(pairs, ranks, strict=True)))
    sums = [abs(np.dot(signs, ranks)) for signs in itertools.product((-1, 1), repeat=len(pairs))]
    expected = np.mean([total >= found - 1e-9 for total in sums])
    assert compared(run, base, other).p_value == pytest.approx(expected)


def test_differences_that_vary_by_rounding_alone_have_no_test(run):
    """Without the guard Student's t would be enormous."""
    records = accuracies(run, "base", [0.1, 0.5, 0.9]) + accuracies(run, "other", [0.2, 0.6, 1.0])
    (found,) = compare_final(records, "base", "test_accuracy")
    assert (found.p_value, found.is_significant) == (None, False)


def test_six_pairs_that_agree_are_the_fewest_that_can_be_claimed(run):
    for n, p in ((3, 2 / 8), (5, 2 / 32), (6, 2 / 64)):
        found = compared(run, [100 + i for i in range(n)], [50 + i * i for i in range(n)])
        assert found.p_value == pytest.approx(p)
        assert found.is_significant == (n == 6)


def test_a_miss_is_the_largest_of_times(run):
    base = [100.0] * 6
    found = compared(run, base, [200, 210, 220, 230, 240, math.inf])
    assert found.p_value == pytest.approx(2 / 64)
    assert found.effect_size == 0
    assert found.high is None  # of a ratio that may be infinite
    both = compared(run, [math.inf] * 3, [math.inf] * 3)
    assert (both.estimate, both.p_value, both.effect_size) == (1.0, 1.0, 0.5)
    won = compared(run, [math.inf] * 6, [100.0] * 6)
    assert (won.estimate, won.effect_size) == (0.0, 1.0)
    assert won.is_significant


def noisy(run, rng, name, n, speedup, noise):
    """Times vary by 2 % with the seed, equally for all methods, and by `noise` for each run."""
    shared = np.random.default_rng(1000).normal(0, 0.02, n)  # a seed's own data order
    times = 1000 / speedup * np.exp(shared + rng.normal(0, noise, n))
    return timed(run, name, [10 * math.ceil(time / 10) for time in times])


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


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_it_is_not_claimed_with_too_few_seeds(run, n):
    assert not np.any([claims(run, seed, n=n, others=[1.03]) for seed in range(20)])


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
