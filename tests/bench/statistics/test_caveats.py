"""Caveats: each appears when it must, and only then."""

import dataclasses

import pytest

from jaxsched.bench import MedianBest, StudyManifest, Target, caveats
from jaxsched.bench.study.manifest import TEST_ACCURACY
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

MACHINE = {"processor": "EPYC", "device": "cpu", "cores": 2, "num_devices": 1, "python": "3.11"}
TARGET = Target(0.9, TEST_ACCURACY)


def manifest(seeds, target=0.9):
    runs = tuple(Run(name, "0", seed) for name in ("a", "b") for seed in range(seeds))
    return StudyManifest(
        name="s", runs=runs, target=target, further_targets=(), baseline="a", published={}
    )


@pytest.fixture
def records(run):
    def make(seeds, accuracies=(0.1, 0.2, 0.3, 0.4, 0.95)):
        return [
            placed(run(list(accuracies), name=name, seed=seed))
            for name in ("a", "b")
            for seed in range(seeds)
        ]

    return make


def placed(record, **changes):
    environment = {**MACHINE, **changes}
    return Record({**record.header, "environment": environment}, record.evaluations, record.end)


def test_six_equal_runs_that_reach_the_target_need_no_caveat(records):
    assert caveats(manifest(6), records(6), TARGET) == []


@pytest.mark.parametrize("n, said", [(1, "one run (n = 1)"), (2, "two runs (n = 2)")])
def test_few_seeds_are_a_caveat(records, n, said):
    assert any(said in caveat for caveat in caveats(manifest(n), records(n), TARGET))


def test_few_seeds_with_misses_cannot_show_a_difference_in_time(records):
    said, missed = "fewer than six seeds, a difference in time", (0.1, 0.2, 0.3, 0.4, 0.5)
    for n, expected in ((3, True), (5, True), (6, False)):
        runs = [*records(n)[:-1], records(n, missed)[-1]]
        assert any(said in caveat for caveat in caveats(manifest(n), runs, TARGET)) == expected
    assert not any(said in caveat for caveat in caveats(manifest(3), records(3), TARGET))


def test_missing_runs_are_named(records):
    found = caveats(manifest(6), records(6)[:-1], TARGET)
    assert found == ["1 of 12 runs have not finished: b seed 5."]


def test_a_target_that_is_never_reached_is_a_caveat(records):
    (found,) = caveats(manifest(6), records(6, (0.1, 0.2, 0.3, 0.4, 0.5)), TARGET)
    assert found == "a and b reached 90.00% in none of their runs."


def test_few_evaluations_before_the_target_are_a_caveat(records):
    (found,) = caveats(manifest(6), records(6, (0.1, 0.95)), TARGET)
    assert found.startswith("a and b reached the target within the first 3 evaluations")


def test_a_run_that_diverged_is_named_with_its_reason(records):
    made = records(6)
    end = {"status": "diverged", "reason": "loss is NaN at update 7"}
    made[0] = dataclasses.replace(made[0], end=end, evaluations=made[0].evaluations[:-1])
    (found,) = caveats(manifest(6), made, TARGET)
    assert found == "a, seed 0: loss is NaN at update 7; it counts as a miss."
    made[0] = dataclasses.replace(made[1], end=end, header=made[0].header)
    (found,) = caveats(manifest(6), made, TARGET)
    assert found == "a, seed 0: loss is NaN at update 7; after it had reached the target."


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"device": "H100"}, "seconds cannot be compared (device: H100; cpu)"),
        ({"python": "3.12"}, "different software versions (python: 3.11; 3.12)"),
    ],
)
def test_mixed_hardware_and_versions_are_a_caveat(records, changes, said):
    made = records(6)
    made[3] = placed(made[3], **changes)
    (found,) = caveats(manifest(6), made, TARGET)
    assert said in found


def test_a_target_by_rule_warns_about_its_baseline(records):
    target = Target(0.9, TEST_ACCURACY, "median over 6 runs of the best evaluation of a")
    (found,) = caveats(manifest(6, MedianBest("a")), records(6), target)
    assert found.endswith("so by construction a misses it in about half of its runs.")
