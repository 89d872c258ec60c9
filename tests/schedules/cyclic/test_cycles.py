"""Cycles against their authors' logs and code, and Optax's."""

import numpy as np
import optax
import pytest

import jaxsched as js

UPDATES = np.arange(120)

# The author's logs: base, peak, half, total updates, 2 · half / updates and last learning rate.
SMITH_LOGS = {
    "WRN-32, CIFAR-10": (0.1, 1.0, 2246, 4882, 0.92, 1e-4),
    "ResNet-56, CIFAR-10": (0.08, 0.8, 4003, 9277, 0.86, 8e-5),
    "DenseNet-40, CIFAR-10": (0.1, 4.0, 2148, 4882, 0.88, 1e-4),
    "ResNet-56, CIFAR-100": (0.1, 1.2, 3417, 7080, 0.97, 1e-4),
}


@pytest.mark.parametrize("log", sorted(SMITH_LOGS))
def test_smith_one_cycle_is_what_the_author_logged(values, log):
    base, peak, half, updates, share, last = SMITH_LOGS[log]
    cycle = js.SmithOneCycle(base, peak, half)
    assert 2 * half / updates == pytest.approx(share, abs=0.006)
    assert float(cycle(0)) == pytest.approx(base)
    assert float(cycle(half)) == pytest.approx(peak) == values(cycle, np.arange(updates)).max()
    # The line down aims at zero, not at the base, and meets the floor just before 2 · half.
    assert float(cycle(half * 3 // 2)) == pytest.approx(peak * (2 - half * 3 // 2 / half))
    floor = values(cycle, np.arange(2 * half, updates + 1))
    np.testing.assert_allclose(floor, last, rtol=1e-6)
    assert float(cycle(2 * half - 2)) > last


def test_smith_momentum_is_the_authors_patch_without_its_second_dip(values):
    high, low, half = 0.95, 0.8, 40
    cycle = np.floor(UPDATES / (2 * half))
    x = (UPDATES - (2 * cycle + 1) * half) / half
    patch = high + (low - high) * np.clip((1 - np.abs(x)) / 2**cycle, 0, 1)
    np.testing.assert_allclose(
        values(js.Cyclic(high, low, up=half, mode="triangular2")), patch, rtol=1e-6
    )
    ours = values(js.SmithOneCycle(0.1, 1.0, half).momentum(high, low))
    np.testing.assert_allclose(ours[: 2 * half], patch[: 2 * half], rtol=1e-6)
    np.testing.assert_allclose(ours[2 * half :], high, rtol=1e-6)
    assert patch[2 * half :].min() < 0.88


def test_one_cycle_is_optax_cosine_onecycle(values, values_of_optax):
    theirs = optax.cosine_onecycle_schedule(100, peak_value=0.7)
    ours = js.OneCycle(0.7, 100)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5, atol=1e-7)


def test_three_phases_are_optax_linear_onecycle_where_that_turns_at_the_same_times(
    values, values_of_optax
):
    theirs = optax.linear_onecycle_schedule(100, peak_value=0.7, pct_start=0.3, pct_final=0.6)
    ours = js.OneCycle(0.7, 100, anneal="linear", three_phase=True)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5, atol=1e-7)


def test_warm_restarts_are_optax_sgdr_with_doubling_cycles(values, values_of_optax):
    cycles = [
        {"init_value": 0.3, "peak_value": 0.3, "warmup_steps": 0, "decay_steps": steps}
        for steps in (10, 20, 40, 80)
    ]
    theirs = values_of_optax(optax.sgdr_schedule(cycles))
    np.testing.assert_allclose(values(js.CosineRestarts(0.3, 10, 2)), theirs, rtol=1e-4, atol=1e-8)


def test_the_two_readings_of_exp_range(values):
    """At the end of a cycle the amplitude is gone: only the paper's reading lowers the base."""
    ends = [0, 20, 40]
    amplitude = js.Cyclic(0.1, 1.0, 10, mode="exp_range", gamma=0.99)
    np.testing.assert_allclose(values(amplitude, ends), 0.1, rtol=1e-6)
    bounds = js.Cyclic(0.1, 1.0, 10, mode="exp_range", gamma=0.99, exp_range_of="bounds")
    np.testing.assert_allclose(values(bounds, ends), 0.1 * 0.99 ** np.array(ends), rtol=1e-6)
    np.testing.assert_allclose(values(bounds, [10]), 0.99**10, rtol=1e-6)


def test_swa_constant_is_the_authors_function(values):
    """timgaripov/swa, train.py: the factor as a function of epoch / swa_start."""
    peak, swa, start = 0.05, 0.01, 80
    t = UPDATES / start
    ratio = swa / peak
    factor = np.where(t <= 0.5, 1.0, np.where(t <= 0.9, 1 - (1 - ratio) * (t - 0.5) / 0.4, ratio))
    np.testing.assert_allclose(values(js.SWAConstant(peak, swa, start)), peak * factor, rtol=1e-6)


def test_swa_cyclic_is_low_at_the_last_update_of_a_cycle(values):
    high, low, c = 0.05, 0.01, 7
    u = ((UPDATES + 1 - 1) % c + 1) / c  # the paper counts iterations from 1
    np.testing.assert_allclose(
        values(js.SWACyclic(high, low, c)), (1 - u) * high + u * low, rtol=1e-6
    )
    # The same in epochs of 20 updates.
    in_epochs = js.SWACyclic(high, low, c / 20, update=1 / 20)
    first_cycle = ((1 - u) * high + u * low)[:c]
    np.testing.assert_allclose(values(in_epochs, np.arange(c) / 20), first_cycle, rtol=1e-5)
