"""A recipe against the config that it was made from: records with known answers."""

import numpy as np
import pytest
from scipy import stats

from jaxsched.metric import Metric
from jaxsched.tracking import Record
from jaxsched.tune.recipe.comparison import compare

ACCURACY = Metric("accuracy", "higher", is_share=True)
LOSS = Metric("loss", "lower")


def runs(name, finals, *, column="test_accuracy", diverged=(), evaluated_on="validation"):
    return [
        Record(
            {"name": name, "seed": seed, "evaluated_on": evaluated_on},
            () if seed in diverged else ({column: 0.5}, {column: final}),
            {"status": "diverged" if seed in diverged else "finished"},
        )
        for seed, final in enumerate(finals)
    ]


def test_the_better_mean_is_taken_and_both_are_said():
    given, recipe = [0.9704, 0.9601, 0.9650], [0.9671, 0.9590, 0.9655]
    found = compare(runs("cycle", given), runs("recipe", recipe), ACCURACY)
    assert not found.takes_recipe
    assert found.title == "Taken: cycle as it was given, which recipe does not beat"
    rows = {row[0]: row[1] for row in found.report.rows}
    for name, values in (("cycle", given), ("recipe", recipe)):
        mean, sd = 100 * np.mean(values), 100 * np.std(values, ddof=1)
        assert rows[name] == f"{mean:.2f} ± {sd:.2f}"
    (said,) = found.report.statements
    behind = 100 * (np.mean(given) - np.mean(recipe))
    assert f"recipe is {behind:.3g} points worse than cycle" in said
    assert "these seeds cannot tell that from luck" in said
    assert compare(runs("cycle", recipe), runs("recipe", given), ACCURACY).takes_recipe


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_clear_is_what_the_paired_t_test_shows(sign):
    random = np.random.default_rng(0)
    for shift in np.linspace(0, 0.06, 13):
        given = random.normal(0.9, 0.02, 5)
        recipe = given + sign * random.normal(shift, 0.02, 5)
        found = compare(runs("a", given), runs("b", recipe), ACCURACY)
        gained = recipe - given
        assert found.takes_recipe == (gained.mean() > 0)
        side = "greater" if gained.mean() > 0 else "less"
        low = stats.ttest_1samp(gained, 0).pvalue < 0.05
        assert ("a paired t test shows it" in found.report.statements[0]) == low, side


def test_lower_losses_are_better_and_equal_ones_change_nothing():
    args = {"column": "test_loss"}
    better = compare(runs("a", [0.5, 0.6], **args), runs("b", [0.4, 0.5], **args), LOSS)
    assert better.takes_recipe and "b is 0.1 better than a" in better.report.statements[0]
    same = compare(runs("a", [0.5, 0.6], **args), runs("b", [0.5, 0.6], **args), LOSS)
    assert not same.takes_recipe and "b is no better than a" in same.report.statements[0]


def test_a_run_that_diverged_counts_before_any_mean():
    given = runs("a", [0.5, 0.6, 0.7])
    lost = compare(given, runs("b", [0.9, 0.9, 0.9], diverged=(1,)), ACCURACY)
    assert not lost.takes_recipe and lost.report.rows[2][2:] == ("2", "1")
    saved = compare(runs("a", [0.9] * 3, diverged=(0, 1, 2)), runs("b", [0.1] * 3), ACCURACY)
    assert saved.takes_recipe and saved.report.statements == []
    # Both lost a run: what counts is the seed that both finished.
    both = compare(
        runs("a", [0.1, 0.9, 0.5], diverged=(0,)),
        runs("b", [0.9, 0.1, 0.6], diverged=(1,)),
        ACCURACY,
    )
    assert both.takes_recipe and "one seed cannot tell that from luck" in both.report.statements[0]


def test_the_average_counts_where_there_is_one_and_test_examples_are_said():
    given = [
        Record(r.header, ({**r.evaluations[-1], "averaged_test_accuracy": 0.95},), r.end)
        for r in runs("a", [0.9], evaluated_on="test")
    ]
    found = compare(given, runs("b", [0.94], evaluated_on="test"), ACCURACY)
    assert not found.takes_recipe
    assert "Compared on test examples" in found.report.statements[1]
