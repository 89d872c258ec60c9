"""The price of splitting a batch: its arithmetic, and that a case is what it says."""

import jax
import pytest


@pytest.fixture(scope="module")
def scaling(load_experiment):
    return load_experiment("performance/scaling")


def test_strong_cases_share_a_batch_and_weak_ones_a_part(scaling):
    for case in scaling.CASES:
        expected = 128 if case.scaling == "strong" else 16 * case.devices
        assert case.batch_size == expected
    assert len(set(scaling.CASES)) == 16


@pytest.mark.parametrize("driver", ["jit", "pmap"])
def test_price_is_one_where_splitting_is_free(scaling, driver):
    """On cores that are shared, an update takes as long as all its images do."""
    free = {case: 0.001 * case.batch_size for case in scaling.CASES}
    for scaled in ("strong", "weak"):
        for devices in scaling.NUM_DEVICES:
            case = scaling.Case(scaled, driver, devices)
            assert scaling.price(free, case) == pytest.approx(1)
            half_more = free | {case: 1.5 * free[case]}
            expected = 1 if devices == 1 else 1.5
            assert scaling.price(half_more, case) == pytest.approx(expected)


def test_table_has_the_median_of_ratios_within_a_round(scaling):
    """The machine was ten times slower in one round; the price does not see it."""
    one, two = (scaling.Case("strong", "jit", devices) for devices in (1, 2))
    rounds = []
    for slowness, ratio in ((2, 1.2), (10, 1.3), (1, 1.1)):
        seconds = dict.fromkeys(scaling.CASES, 0.1 * slowness)
        rounds.append(seconds | {two: ratio * seconds[one]})
    row = next(line for line in scaling.table(rounds).splitlines() if "| jit | 2 | 128 |" in line)
    assert row == "| strong | jit | 2 | 128 | 110.0 | 1.20 (1.15 to 1.25) |"


@pytest.mark.slow
def test_a_case_trains_on_as_many_devices_as_it_says(scaling):
    program = scaling.Case("weak", "pmap", 2).program()
    assert len(program.driver.devices) == 2 < jax.local_device_count()
    assert program.plan.batch_sizes == (32,)
    assert scaling.update_seconds(program) > 0
