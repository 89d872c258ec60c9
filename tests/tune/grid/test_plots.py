"""The picture of a grid says what was taken and why, and crosses out what diverged."""

import itertools
from types import SimpleNamespace

import pytest

from jaxsched.tracking import Record
from jaxsched.tune.grid.plots import draw_grid
from jaxsched.tune.grid.ranking import Result, rank_cells
from jaxsched.tune.grid.runs import CellRuns

DECAYS = {"weight_decay": (0.0, 1e-4, 1e-2)}


def drawn(axes, path, *, seeds=3, diverged=lambda values, seed: False):
    """A grid whose middle values are the best, each seed a little worse than the one before."""
    runs, results = [], []
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        off = sum(v != axes[name][len(axes[name]) // 2] for name, v in values.items())
        records, losses = [], {}
        for seed in range(seeds):
            is_bad = diverged(values, seed)
            last = 0.2 + 0.1 * off + 0.001 * seed
            rows = [{"epoch": float(e), "test_loss": last + 1 / e - 0.25} for e in range(1, 5)]
            end = {"status": "diverged" if is_bad else "finished"}
            records.append(Record({}, tuple(rows[: 2 if is_bad else 4]), end))
            losses[seed] = float("inf") if is_bad else last
        runs.append(CellRuns(SimpleNamespace(values=values), records))
        results.append(Result("", values, losses, {}, {}))
    ranking = rank_cells(results)
    draw_grid("a grid", runs, results, ranking, path, evaluated_on="validation")
    return ranking


@pytest.mark.parametrize(
    "axes",
    [
        DECAYS,
        DECAYS | {"momentum": (0.8, 0.9, 0.99)},
        DECAYS | {"momentum": (0.8, 0.9), "optimizer.schedules.lr.peak": (0.1, 0.2)},
    ],
    ids=len,
)
def test_it_marks_what_was_taken_and_what_diverged(axes, tmp_path, words_of):
    def diverged(values, seed):
        return values["weight_decay"] == 1e-2 and seed < 2

    ranking = drawn(axes, tmp_path / "grid.svg", diverged=diverged)
    words = words_of(tmp_path / "grid.svg")
    assert "taken" in words and "2 of 3 diverged" in words
    assert ranking.reason in words
    assert ranking.reason.startswith("Taken: weight decay 1e-4")
    assert all(name.replace("_", " ") in words for name in axes)


def test_one_seed_is_said(tmp_path, words_of):
    drawn(DECAYS, tmp_path / "grid.svg", seeds=1)
    words = words_of(tmp_path / "grid.svg")
    assert "One seed shows no spread." in words and "the only seed" in words
    drawn({"momentum": (0.9,)}, tmp_path / "one.svg", seeds=1)
    assert "momentum 0.9 (taken)" in words_of(tmp_path / "one.svg")


def test_where_every_run_diverged_nothing_is_taken(tmp_path, words_of):
    ranking = drawn(DECAYS, tmp_path / "grid.svg", diverged=lambda *_: True)
    words = words_of(tmp_path / "grid.svg")
    assert ranking.reason == "No cell finished: every one of them diverged."
    assert ranking.reason in words and words.count("3 of 3 diverged") == 2 * 3
