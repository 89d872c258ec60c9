"""The first significant evaluation, of runs whose answers are known."""

import pytest
from scipy import stats

from jaxsched.bench import Target, earliest_significant
from jaxsched.bench.study.manifest import TEST_ACCURACY

TARGET = Target(0.9, TEST_ACCURACY)


def test_the_first_mark_with_a_large_enough_t_is_found(run):
    records = [run([0.88, 0.905, 0.93]), run([0.89, 0.897, 0.94]), run([0.87, 0.907, 0.92])]
    # At the second mark the mean is 0.903, but with so much noise that p is 0.2.
    assert stats.ttest_1samp([0.905, 0.897, 0.907], 0.9, alternative="greater").pvalue > 0.05
    assert earliest_significant(records, TARGET)["step"] == 30
    assert earliest_significant(records, TARGET, confidence=0.5)["step"] == 20


def test_a_lucky_evaluation_does_not_count(run):
    records = [run([0.95, 0.85, 0.95]), run([0.96, 0.86, 0.96]), run([0.955, 0.855, 0.955])]
    assert earliest_significant(records, TARGET)["step"] == 30


@pytest.mark.parametrize("accuracies", [[[0.95, 0.96]], [[0.5, 0.5], [0.6, 0.6]]])
def test_one_run_and_none_above_claim_nothing(run, accuracies):
    assert earliest_significant([run(of) for of in accuracies], TARGET) is None


def test_marks_are_matched_by_update_and_must_be_shared(run):
    records = [run([0.95, 0.95], steps=[10, 30]), run([0.96, 0.5, 0.96], steps=[10, 20, 30])]
    assert earliest_significant(records, TARGET)["step"] == 10
    apart = [run([0.95], steps=[10]), run([0.96], steps=[11])]
    assert earliest_significant(apart, TARGET) is None


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_run_that_died_claims_nothing(run, status):
    records = [run([0.95, 0.95]), run([0.96, 0.96]), run([0.955], status=status)]
    assert earliest_significant(records, TARGET) is None


def test_no_spread_needs_no_test(run):
    records = [run([0.8, 0.95]), run([0.8, 0.95])]
    assert earliest_significant(records, TARGET)["step"] == 20
