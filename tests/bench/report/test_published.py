"""Published values are compared by order and difference, within one source."""

import pytest
from scipy import stats

from jaxsched.bench import Published, Results, StudyManifest
from jaxsched.bench.report.published import published_tables
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

FINALS = {"a": [0.50, 0.52, 0.51], "b": [0.60, 0.61, 0.63], "c": [0.40, 0.43, 0.41], "d": [0.7] * 3}


def tables(published, finals=FINALS, baseline="a"):
    records = [
        Record(
            {"name": name, "digest": "0", "seed": seed},
            ({"step": 1, "test_accuracy": value},),
            {"status": "finished"},
        )
        for name, of in finals.items()
        for seed, value in enumerate(of)
    ]
    runs = tuple(Run(name, "0", seed) for name in FINALS for seed in range(3))
    manifest = StudyManifest(
        name="s", runs=runs, target=0.9, further_targets=(), baseline=baseline,
        published={name: Published(*of) for name, of in published.items()},
    )  # fmt: skip
    return published_tables(Results.of(manifest, records))


def test_differences_stand_beside_those_of_our_runs_and_levels_do_not():
    (table,) = tables({"b": (0.95, "x"), "a": (0.94, "x"), "c": (0.945, "x")})
    assert table.rows[0] == (
        "", "published, %", "published, against a, points", "ours, against a, points"
    )  # fmt: skip
    test = stats.ttest_rel(FINALS["b"], FINALS["a"])
    low, high = test.confidence_interval(0.95)  # of the larger p-value of two, by Holm
    b, a, c = table.rows[1:]
    assert a == ("a", "94.00", "", "")
    assert b[:3] == ("b", "95.00", "+1.00") and c[2] == "+0.50"
    assert b[3] == f"+10.33 [{100 * low:+.2f}, {100 * high:+.2f}]"
    assert "61" not in str(table.rows)  # the level of b in our runs
    # b above a alike, b above c alike, c above a not.
    assert table.sentence == (
        "Published: x. Of 3 pairs of experiments, 2 are in the same order in our runs."
    )


def test_each_source_is_compared_with_itself_alone():
    first, second = tables({"a": (0.9, "x"), "b": (0.8, "y"), "d": (0.9, "y")})
    assert first.rows == [("", "published, %"), ("a", "90.00")]
    assert first.sentence == "Published: x."
    assert second.rows[0][2] == "published, against b, points"
    assert "1 is in the same order" in second.sentence


@pytest.mark.parametrize("absent", ["a", "b"])
def test_an_experiment_without_runs_has_no_value_of_ours(absent):
    finals = {name: of for name, of in FINALS.items() if name != absent}
    (table,) = tables({"a": (0.9, "x"), "b": (0.8, "x")}, finals)
    assert table.rows[2] == ("b", "80.00", "-10.00", "")
    assert table.sentence == "Published: x."
