"""What the figure script of the studies of reinforcement learning says of records."""

import sys
from pathlib import Path

import pytest

from jaxsched.tracking import Record

sys.path.insert(0, str(Path(__file__).parents[3] / "experiments" / "reinforcement"))

from policy import INITIAL_SQUARED_NORM


@pytest.fixture(scope="module")
def script(load_experiment):
    return load_experiment("figures/reinforcement")


def record(name, norms, learning_rates):
    rows = [
        {
            "step": 32 * n,
            "examples": 2048 * n,
            "train_seconds": n,
            "test_return": 100.0 * n,
            "squared_norm": norm,
            "learning_rate": rate,
        }
        for n, (norm, rate) in enumerate(zip(norms, learning_rates, strict=True), start=1)
    ]
    header = {"name": name, "seed": 0, "config": {"peak": 0.1}}
    return Record(header, tuple(rows), {"status": "finished", "reason": ""})


def runs():
    fell_and_rose = [250.0, 260.0, 300.0, 299.0]
    rose_only = [280.0, 300.0, 320.0, 340.0]
    return {
        "late": [record("late", rose_only, [0.1, 0.1, 0.1, 0.01])] * 2,
        "abel": [
            record("abel", fell_and_rose, [0.1, 0.01, 0.001, 0.0001]),
            record("abel", rose_only, [0.1, 0.1, 0.1, 0.01]),
        ],
    }


def test_table_counts_bounces_and_decays(script):
    rows = script.table(runs()).splitlines()[2:]
    late, abel = ([cell.strip() for cell in row.split("|")[1:-1]] for row in rows)
    assert late == ["late", "0.1", "0.01", "340", "0 of 2", "0.0 %", ""]
    assert abel == ["abel", "0.1", "0.005", "320", "1 of 2", "4.2 %", "1 or 3"]


def test_figure_has_both_quantities_of_each_schedule(script, tmp_path):
    script.draw(runs(), tmp_path / script.FIGURE)
    assert (tmp_path / "norms.png").stat().st_size > 10_000


def test_initial_norm_is_that_of_the_network(script):
    assert pytest.approx(INITIAL_SQUARED_NORM, abs=0.01) == script.INITIAL_SQUARED_NORM
