"""Each family of schedules against the logs, papers and libraries it comes from."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.interpolate import PchipInterpolator

import jaxsched as js

UPDATES = np.arange(120)
LENGTH = 10_000


def values(schedule, times=UPDATES):
    """The values in float64; padded to one length, so that each operation compiles once."""
    padded = jnp.asarray(np.resize(times, LENGTH))
    return np.asarray(schedule(padded), np.float64)[: len(times)]


def values_of_optax(schedule):
    return np.asarray([schedule(int(update)) for update in UPDATES])


# The author's logs: base, peak, half, total updates, 2 · half / updates and last learning rate.
SMITH_LOGS = {
    "WRN-32, CIFAR-10": (0.1, 1.0, 2246, 4882, 0.92, 1e-4),
    "ResNet-56, CIFAR-10": (0.08, 0.8, 4003, 9277, 0.86, 8e-5),
    "DenseNet-40, CIFAR-10": (0.1, 4.0, 2148, 4882, 0.88, 1e-4),
    "ResNet-56, CIFAR-100": (0.1, 1.2, 3417, 7080, 0.97, 1e-4),
}


@pytest.mark.parametrize("log", sorted(SMITH_LOGS))
def test_smith_one_cycle_is_what_the_author_logged(log):
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


def test_smith_momentum_is_the_authors_patch_without_its_second_dip():
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


def test_one_cycle_is_optax_cosine_onecycle():
    theirs = optax.cosine_onecycle_schedule(100, peak_value=0.7)
    ours = js.OneCycle(0.7, 100)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5, atol=1e-7)


def test_three_phases_are_optax_linear_onecycle_where_that_turns_at_the_same_times():
    theirs = optax.linear_onecycle_schedule(100, peak_value=0.7, pct_start=0.3, pct_final=0.6)
    ours = js.OneCycle(0.7, 100, anneal="linear", three_phase=True)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("curve", ["linear", "cosine"])
def test_interpolate_is_optax_piecewise_interpolate(curve):
    theirs = optax.piecewise_interpolate_schedule(curve, 0.4, {10: 2.0, 50: 0.5, 90: 0.25})
    ours = js.Interpolate(((0, 0.4), (10, 0.8), (50, 0.4), (90, 0.1)), curve)
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-5)


def test_warm_restarts_are_optax_sgdr_with_doubling_cycles():
    cycles = [
        {"init_value": 0.3, "peak_value": 0.3, "warmup_steps": 0, "decay_steps": steps}
        for steps in (10, 20, 40, 80)
    ]
    theirs = values_of_optax(optax.sgdr_schedule(cycles))
    np.testing.assert_allclose(values(js.CosineRestarts(0.3, 10, 2)), theirs, rtol=1e-4, atol=1e-8)


def test_warmup_cosine_is_optax_warmup_cosine_decay():
    theirs = optax.warmup_cosine_decay_schedule(0.1, 1.0, warmup_steps=10, decay_steps=100)
    ours = js.Sequence((js.Linear(0.1, 1.0, 10), js.Cosine(1.0, 90)), (10,))
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-4, atol=1e-8)


def test_wsd_is_its_three_parts_in_sequence():
    parts = (js.Linear(0.01, 0.3, 10), js.Constant(0.3), js.Cosine(0.3, 30, 0.02))
    ours = js.WSD(0.3, 100, cooldown=30, warmup=10, end=0.02, start=0.01, shape="cosine")
    np.testing.assert_allclose(values(ours), values(js.Sequence(parts, (10, 70))), rtol=1e-6)


def test_minicpm_halves_at_regular_intervals():
    """MiniCPM's cool-down is 0.5^(u / T); four halvings end at a sixteenth."""
    ours = js.WSD(1.0, 100, cooldown=40, end=1 / 16, shape="exponential")
    np.testing.assert_allclose(values(ours, [60, 70, 80, 90, 100]), 0.5 ** np.arange(5), rtol=1e-6)


def test_inverse_sqrt_is_the_transformers():
    d, w = 512, 40
    t = UPDATES[1:]
    paper = d**-0.5 * np.minimum(t**-0.5, t * w**-1.5)
    ours = js.Warmup(js.InverseSqrt((d * w) ** -0.5, w, "held"), w)
    np.testing.assert_allclose(values(ours, t), paper, rtol=1e-6)


@pytest.mark.parametrize("shift", [0, 30])
def test_inverse_sqrt_is_big_visions(shift):
    w, timescale, peak = 10, 50, 0.3
    t = UPDATES[w:]
    theirs = peak / np.sqrt(1 + (t + shift - w) / timescale)
    shifted = js.InverseSqrt(peak * math.sqrt(timescale / (timescale + shift)), timescale + shift)
    ours = js.Sequence((js.Linear(0.0, peak, w), shifted), (w,))
    np.testing.assert_allclose(values(ours, t), theirs, rtol=1e-6)


def test_rex_constants():
    z = 1 - np.minimum(UPDATES / 100, 1)
    np.testing.assert_allclose(values(js.Rex(0.3, 100)), 0.3 * z / (0.5 + 0.5 * z), rtol=1e-6)
    port = 0.3 * z / (0.1 + 0.9 * z)
    np.testing.assert_allclose(values(js.Rex(0.3, 100, alpha=0.9)), port, rtol=1e-6)


def test_the_two_readings_of_exp_range():
    """At the end of a cycle the amplitude is gone: only the paper's reading lowers the base."""
    ends = [0, 20, 40]
    amplitude = js.Cyclic(0.1, 1.0, 10, mode="exp_range", gamma=0.99)
    np.testing.assert_allclose(values(amplitude, ends), 0.1, rtol=1e-6)
    bounds = js.Cyclic(0.1, 1.0, 10, mode="exp_range", gamma=0.99, exp_range_of="bounds")
    np.testing.assert_allclose(values(bounds, ends), 0.1 * 0.99 ** np.array(ends), rtol=1e-6)
    np.testing.assert_allclose(values(bounds, [10]), 0.99**10, rtol=1e-6)


def test_swa_constant_is_the_authors_function():
    """timgaripov/swa, train.py: the factor as a function of epoch / swa_start."""
    peak, swa, start = 0.05, 0.01, 80
    t = UPDATES / start
    ratio = swa / peak
    factor = np.where(t <= 0.5, 1.0, np.where(t <= 0.9, 1 - (1 - ratio) * (t - 0.5) / 0.4, ratio))
    np.testing.assert_allclose(values(js.SWAConstant(peak, swa, start)), peak * factor, rtol=1e-6)


def test_swa_cyclic_is_low_at_the_last_update_of_a_cycle():
    high, low, c = 0.05, 0.01, 7
    u = ((UPDATES + 1 - 1) % c + 1) / c  # the paper counts iterations from 1
    np.testing.assert_allclose(
        values(js.SWACyclic(high, low, c)), (1 - u) * high + u * low, rtol=1e-6
    )
    # The same in epochs of 20 updates.
    in_epochs = js.SWACyclic(high, low, c / 20, update=1 / 20)
    first_cycle = ((1 - u) * high + u * low)[:c]
    np.testing.assert_allclose(values(in_epochs, np.arange(c) / 20), first_cycle, rtol=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_cubic_is_scipys_pchip(seed):
    draw = np.random.default_rng(seed)
    n = 2 + seed % 6
    times = np.cumsum(draw.uniform(1, 30, n))
    heights = draw.choice([0.0, 0.1, 0.5, 1.0], n) if seed % 2 else draw.uniform(0, 1, n)
    dense = np.linspace(times[0], times[-1], 301)
    ours = js.Interpolate(tuple(zip(times.tolist(), heights.tolist(), strict=True)), "cubic")
    theirs = PchipInterpolator(times, heights)(dense)
    np.testing.assert_allclose(values(ours, dense), theirs, atol=3e-6)
    # No overshoot: the curve has no extremum that the points do not have.
    assert values(ours, dense).max() <= heights.max() + 1e-6
    assert values(ours, dense).min() >= heights.min() - 1e-6


def test_points_may_be_an_array():
    points = np.array([[0, 0.2], [23, 1.0], [100, 0.07]])
    expected = np.interp(UPDATES, points[:, 0], points[:, 1])
    for array in (points, jnp.asarray(points)):
        np.testing.assert_allclose(values(js.Interpolate(array)), expected, rtol=1e-6)


def test_each_part_of_a_sequence_sees_its_own_time():
    seen = []

    def spy(t):
        seen.append(int(t))
        return 1.0

    js.Sequence((js.Constant(0.5), spy), (40,))(50)
    assert seen == [10]


def test_stretch_is_the_way_from_epochs_to_updates():
    of_epochs = js.Warmup(js.MultiStep(0.1, (3, 6)), 1)
    updates = values(js.Stretch(of_epochs, 20), np.arange(140))
    np.testing.assert_allclose(updates, values(of_epochs, np.arange(140) / 20), rtol=1e-6)
    assert updates[59] == pytest.approx(0.1) and updates[60] == pytest.approx(0.01)
