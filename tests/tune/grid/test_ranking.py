"""Rankings of hand-made records, whose answers are known."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from jaxsched.tracking import Record
from jaxsched.tune.grid.equal_time import epochs_at_equal_time, equal_time_statements
from jaxsched.tune.grid.ranking import cell_result, is_clearly_better, rank_cells


def record(seed, losses, seconds=1.0, status="finished"):
    rows = tuple(
        {"test_loss": loss, "test_accuracy": 1 - loss, "train_seconds": seconds * n, "epoch": n}
        for n, loss in enumerate(losses, start=1)
    )
    return Record({"name": "cell", "seed": seed}, rows, {"status": status})


def cell(name, value, *losses, **options):
    return cell_result(
        {name: value}, [record(s, [0.9, loss], **options) for s, loss in enumerate(losses)]
    )


def test_a_cell_is_mean_and_deviation_of_the_last_evaluations():
    found = cell("momentum", 0.9, 0.2, 0.4, 0.3)
    assert found.loss == pytest.approx(0.3) and found.loss_sd == pytest.approx(0.1)
    assert found.score == pytest.approx(0.7) and found.score_sd == pytest.approx(0.1)
    assert found.seconds == {0: 2.0, 1: 2.0, 2: 2.0}


def test_a_clear_best_is_said_to_be_clear():
    cells = [
        cell("momentum", 0.8, 0.50, 0.60, 0.70),
        cell("momentum", 0.9, 0.30, 0.41, 0.50),
        cell("momentum", 0.95, 0.60, 0.60, 0.90),
    ]
    ranking = rank_cells(cells)
    assert ranking.best == ranking.advised == cells[1]
    first, second = ranking.statements
    assert first == "Best: momentum 0.9, with loss 0.4033 ± 0.1 (n=3)."
    # The spread within a cell is ten times that of the differences, which decides.
    assert second == (
        "Next is momentum 0.8, 0.197 ± 0.0058 behind over the same seeds: the best is clear."
    )


def test_the_decision_is_that_of_the_paired_t_test():
    random = np.random.default_rng(0)
    decided = set()
    for _ in range(200):
        common = random.normal(size=5)
        one = common + random.normal(0, 0.1, 5)
        other = common + random.normal(0.1, 0.1, 5)
        ours = is_clearly_better(cell("lr", 0.1, *one), cell("lr", 0.2, *other))
        test = stats.ttest_rel(other, one)
        assert ours == (test.pvalue < 0.05 and test.statistic > 0)
        decided.add(ours)
    assert decided == {True, False}


def test_the_largest_weight_decay_within_a_standard_error_is_advised():
    cells = [
        cell("weight_decay", 0.0, 0.40, 0.42),
        cell("weight_decay", 1e-4, 0.39, 0.42),
        cell("weight_decay", 1e-3, 0.41, 0.41),
        cell("weight_decay", 1e-2, 0.80, 0.81),
    ]
    ranking = rank_cells(cells)
    # By seed, 1e-3 is 0.02 and −0.01 behind: 0.005 in the mean, with a standard error of 0.015.
    assert (ranking.best, ranking.advised) == (cells[1], cells[2])
    # 0.02 and 0.04: 0.03, with 0.01. Two seeds do not tell it apart, and yet it is not advised.
    behind = cell("weight_decay", 1e-3, 0.41, 0.46)
    ranking = rank_cells([cells[1], behind])
    assert not is_clearly_better(cells[1], behind) and ranking.advised == cells[1]
    ranking = rank_cells(cells)
    assert "These 2 seeds cannot tell the best from: " in ranking.statements[1]
    assert ranking.statements[2].startswith(
        "Take weight decay 1e-3: it is within one standard error"
    )
    # A momentum has no such advice.
    assert rank_cells(
        [cell("momentum", v, 0.4, 0.4 + v / 100) for v in (0.5, 0.9)]
    ).advised.values == {"momentum": 0.5}


def test_one_seed_says_nothing_of_luck():
    ranking = rank_cells([cell("weight_decay", 1e-4, 0.40), cell("weight_decay", 1e-3, 0.41)])
    assert ranking.best == ranking.advised
    assert "with loss 0.4 (n=1)" in ranking.statements[0]
    assert "One seed cannot tell whether that is more than luck" in ranking.statements[1]


@pytest.mark.parametrize(
    ("losses", "statement"),
    [
        ((0.5, 0.4, 0.3), "weight decay 0.01 is the largest tried; go on with larger ones."),
        ((0.3, 0.4, 0.5), "weight decay 1e-4 is the smallest tried; go on with smaller ones."),
        ((0.4, 0.3, 0.5), None),
    ],
)
def test_a_best_at_the_edge_is_said_to_be_there(losses, statement):
    cells = [
        cell("weight_decay", value, loss)
        for value, loss in zip((1e-4, 1e-3, 1e-2), losses, strict=True)
    ]
    edges = [text for text in rank_cells(cells).statements if "tried" in text]
    assert edges == ([] if statement is None else [statement])


def test_below_zero_there_is_nothing_to_go_on_with():
    cells = [cell("weight_decay", 0.0, 0.3), cell("weight_decay", 1e-4, 0.4)]
    assert not any("tried" in text for text in rank_cells(cells).statements)


def test_a_cell_that_diverged_is_never_the_best():
    hot = cell_result({"lr": 10.0}, [record(0, [0.1]), record(1, [0.1], status="diverged")])
    cool = cell("lr", 1.0, 0.5, 0.6)
    assert rank_cells([hot, cool]).best == cool
    assert (hot.num_diverged, hot.loss, hot.loss_sd, hot.score) == (1, math.inf, None, 0.9)
    nothing = rank_cells([cell_result({"lr": 10.0}, [record(0, [], status="diverged")])])
    assert nothing.best is None and "every one of them diverged" in nothing.statements[0]
    waiting = cell_result({"lr": 0.1}, [record(0, [0.9])])
    unknown = rank_cells([hot, waiting])
    assert unknown.best is None and "these have runs missing: lr 0.1" in unknown.statements[0]


def test_a_cell_with_fewer_seeds_does_not_win_by_that():
    whole, part = cell("lr", 1.0, 0.5, 0.6), cell("lr", 2.0, 0.1)
    assert rank_cells([whole, part]).best == whole


def test_epochs_at_equal_time_are_those_that_the_fastest_takes():
    """At 2, 1 and 4 seconds an epoch, 8 seconds are 4, 8 and 2 epochs."""
    seconds = {32: [16.0, 15.0, 17.0], 128: [8.0], 8: [32.0, 32.0]}
    assert epochs_at_equal_time(seconds, epochs=8.0) == {32: 4.0, 128: 8.0, 8: 2.0}
    assert epochs_at_equal_time({32: [16.0], 64: []}, epochs=8.0) == {32: 8.0}  # 64 diverged
    assert epochs_at_equal_time({}, epochs=8.0) == {}


def test_what_is_best_at_equal_time_is_said_and_whether_times_were_equal():
    small = cell_result(
        {"batch_size": 32}, [record(s, [0.6, 0.4 + s], seconds=2.0) for s in (0, 1)]
    )
    large = cell_result(
        {"batch_size": 128}, [record(s, [0.5, 0.3 + s], seconds=2.1) for s in (0, 1)]
    )
    (said,) = equal_time_statements([small, large], rank_cells([small, large]))
    assert said.startswith("At equal time, 4.1 training seconds a run, each with its whole ")
    assert "Best: batch size 128" in said
    slow = cell_result({"batch_size": 8}, [record(s, [0.5, 0.9], seconds=3.0) for s in (0, 1)])
    results = [small, large, slow]
    assert "took from 4 to 6 seconds" in equal_time_statements(results, rank_cells(results))[1]
    broken = cell_result({"batch_size": 8}, [record(0, [0.1], status="diverged")])
    broken = dataclasses.replace(broken, seconds={})
    assert equal_time_statements([broken], rank_cells([broken])) == [
        "At equal time no run finished."
    ]
