"""compat.torch against hundreds of traces recorded from torch 2.13."""

import collections
import importlib.util
import itertools
import json
import pathlib
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsched as js

HERE = pathlib.Path(__file__).parent
RECORDED = json.loads((HERE / "torch_traces.json").read_text())
TRACES = collections.defaultdict(list)
for recorded in RECORDED["traces"]:
    TRACES[recorded["name"]].append(recorded)

# One length for all traces, so that each operation compiles once.
STEPS = np.arange(2048)
FUNCTIONS = {
    "inverse time": lambda t: 1 / (1 + 0.1 * t),
    "root": lambda t: (1 + t) ** -0.5,
    "line": lambda t: 1 - 0.01 * t,
    "halve": lambda t: 0.5,
    "shrink less and less": lambda t: 1 - 0.5 / t,
    "by cycle": lambda cycle: 1 / cycle,
    "by update": lambda t: 1 / (1 + 0.01 * t),
}


def build(lr, name, arguments):
    """Our schedule for recorded arguments; a (schedule, momentum) pair where torch cycles both."""
    arguments = dict(arguments)
    for key in ("lr_lambda", "scale_fn"):
        if key in arguments:
            arguments[key] = FUNCTIONS[arguments[key]]
    if "schedulers" in arguments:
        parts = [build(lr, *part) for part in arguments["schedulers"]]
        arguments["schedulers"] = [part[0] if isinstance(part, tuple) else part for part in parts]
    if name == "MultiplicativeLR":
        arguments["total_steps"] = 100
    return getattr(js.compat.torch, name)(lr, **arguments)


def check(trace):
    built = build(trace["lr"], trace["name"], trace["arguments"])
    lr, momentum = built if isinstance(built, tuple) else (built, None)
    told = f"torch.{trace['name']}(lr={trace['lr']}, {trace['arguments']})"
    for schedule, values in ((lr, trace["lrs"]), (momentum, trace.get("momenta"))):
        if values is None:
            continue
        ours = np.asarray(schedule(jnp.asarray(STEPS)), np.float64)[: len(values)]
        # torch's recursions end at 4e-21 where the formula says 0.
        nothing = 1e-12 * max(values)
        np.testing.assert_allclose(ours, values, rtol=1e-6, atol=nothing, err_msg=told)


@pytest.mark.parametrize("name", sorted(TRACES))
def test_every_recorded_trace(name):
    for trace in TRACES[name]:
        check(trace)


# torch's formulas in float64 and whole numbers, at step sizes whose reciprocals are not exact.


def triangle(t, up, down):
    now = t % (up + down)
    return np.where(now < up, now / up, (up + down - now) / down)


def cosine(t, length):
    return (1 + np.cos(np.pi * t / length)) / 2


def one_cycle(t, ends, rates):
    """Half waves between rates; each but the first is reached at its end."""
    done = [np.clip((t - a) / (b - a), 0, 1) for a, b in itertools.pairwise([0, *ends])]
    pieces = zip(done, itertools.pairwise(rates), strict=True)
    steps = [(b - a) * (1 - cosine(share, 1)) for share, (a, b) in pieces]
    return rates[0] + sum(steps)


def long_schedules(n):
    """Schedules with a size of n, each with its formula."""
    torch, t = js.compat.torch, np.arange(4096)
    count, share, turn = t // n, np.minimum(t / n, 1), 0.3 * n - 1
    by_cycle = FUNCTIONS["by cycle"]
    parts = [torch.ExponentialLR(0.1, 0.99), torch.StepLR(0.1, n, 0.5)]
    three = torch.OneCycleLR(0.1, 1.0, n, three_phase=True)[0]
    factors = torch.MultiplicativeLR(0.1, lambda step: 0.99, total_steps=n)
    return [
        (torch.StepLR(0.1, n, 0.97), 0.1 * 0.97**count),
        (torch.MultiStepLR(0.1, range(n, 4096, n), 0.97), 0.1 * 0.97**count),
        (torch.ConstantLR(0.1, 0.5, n), np.where(t < n, 0.05, 0.1)),
        (torch.LinearLR(0.1, 0.2, 1.0, n), 0.1 * (0.2 + 0.8 * share)),
        (torch.PolynomialLR(0.1, n, 2.0), 0.1 * (1 - share) ** 2),
        (factors, 0.1 * 0.99 ** np.minimum(t, n)),
        (torch.CosineAnnealingLR(0.1, n), 0.1 * cosine(t, n)),
        (torch.CosineAnnealingWarmRestarts(0.1, n), 0.1 * cosine(t % n, n)),
        (torch.SWALR(0.1, 0.05, n), 0.05 + 0.05 * cosine(share, 1)),
        (torch.CyclicLR(0.1, 0.1, 1.0, n, 2 * n)[0], 0.1 + 0.9 * triangle(t, n, 2 * n)),
        (
            torch.CyclicLR(0.1, 0.1, 1.0, n, scale_fn=by_cycle)[0],
            0.1 + 0.9 * triangle(t, n, n) / (1 + t // (2 * n)),
        ),
        (
            torch.SequentialLR(0.1, parts, [n]),
            np.where(t < n, 0.1 * 0.99**t, 0.1 * 0.5 ** (count - 1.0)),
        ),
        (torch.ChainedScheduler(0.1, parts), 0.1 * 0.99**t * 0.5**count),
        (torch.OneCycleLR(0.1, 1.0, n)[0], one_cycle(t, [turn, n - 1], [0.04, 1.0, 4e-6])),
        (three, one_cycle(t, [turn, 2 * turn, n - 1], [0.04, 1.0, 0.04, 4e-6])),
    ]


@pytest.mark.parametrize("size", [115, 390])
def test_every_step_of_a_long_run_is_torchs_eager_and_jitted(size):
    steps = np.arange(4096)
    for schedule, expected in long_schedules(size):
        for values in (schedule(steps), jax.jit(schedule)(steps)):
            np.testing.assert_allclose(values, expected, 2e-6, 1e-9, err_msg=repr(schedule)[:300])


def test_every_class_has_traces():
    assert RECORDED["torch"].startswith("2.13")
    ours = {name for name in vars(js.compat.torch) if name.endswith(("LR", "Scheduler"))}
    ours |= {"CosineAnnealingWarmRestarts"}
    assert set(TRACES) == ours


def test_live_against_torch():
    pytest.importorskip("torch")
    path = HERE / "record_torch_traces.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    for trace in recorder.drawn(random.Random(1)):
        check(json.loads(json.dumps(trace)))


# Where we differ on purpose: torch's behaviour is recorded too, so that a change there is noticed.


def quirk(name):
    return np.asarray(RECORDED["quirks"][name]["lrs"])


def values(schedule, steps):
    return np.asarray(schedule(jnp.arange(steps)), np.float64)


def test_one_cycle_keeps_its_last_value():
    torch = quirk("one cycle after its end")
    ours = values(js.compat.torch.OneCycleLR(1.0, max_lr=1.0, total_steps=10)[0], 12)
    np.testing.assert_allclose(ours[:10], torch[:10], rtol=1e-6)
    assert torch[10] > 1_000 * torch[9]
    assert ours[11] == ours[10] == ours[9]


def test_one_cycle_may_rise_for_one_update():
    assert RECORDED["quirks"]["a pct_start of one update"] == "ZeroDivisionError"
    lr, momentum = js.compat.torch.OneCycleLR(1.0, max_lr=1.0, total_steps=4, pct_start=0.25)
    fall = np.array([1, 0.75, 0.25, 0, 0])
    np.testing.assert_allclose(values(lr, 5), 4e-6 + (1 - 4e-6) * fall, rtol=1e-6)
    np.testing.assert_allclose(values(momentum, 4), [0.85, 0.875, 0.925, 0.95], rtol=1e-6)


def test_warm_restarts_are_computed_in_integers():
    assert RECORDED["quirks"]["restart by float logarithm"] < 1e-12  # torch: the minimum
    ours = js.compat.torch.CosineAnnealingWarmRestarts(1.0, T_0=1, T_mult=3)
    assert float(ours(121)) == 1.0


def test_every_exact_restart():
    for first in range(1, 8):
        for multiplier in range(2, 8):
            starts, lengths = [0], [first]
            while starts[-1] + lengths[-1] < 2**31:
                starts.append(starts[-1] + lengths[-1])
                lengths.append(lengths[-1] * multiplier)
            ours = js.compat.torch.CosineAnnealingWarmRestarts(1.0, first, multiplier)
            # Padded to one length, so that each operation compiles once.
            restarts = np.resize(np.asarray(starts[1:], np.int32), 32)
            assert np.all(np.asarray(ours(restarts)) == 1.0)
            one_before = np.pi / 2 / np.resize(np.asarray(lengths[:-1], np.float64), 32)
            np.testing.assert_allclose(ours(restarts - 1), np.sin(one_before) ** 2, 1e-6, 1e-12)


def chained(*order):
    parts = {
        "cosine": js.compat.torch.CosineAnnealingLR(1.0, T_max=100, eta_min=0.1),
        "decay": js.compat.torch.ExponentialLR(1.0, gamma=0.99),
    }
    return values(js.compat.torch.ChainedScheduler(1.0, [parts[name] for name in order]), 100)


def test_chained_is_the_product_in_any_order():
    first, last = quirk("chained, cosine first"), quirk("chained, cosine last")
    assert abs(first[50] - last[50]) > 4e-4  # torch: the order matters
    t = np.arange(100)
    product = (0.1 + 0.9 * (1 + np.cos(np.pi * t / 100)) / 2) * 0.99**t
    np.testing.assert_allclose(chained("cosine", "decay"), product, rtol=1e-6)
    np.testing.assert_allclose(chained("decay", "cosine"), product, rtol=1e-6)
    assert product[50] == pytest.approx(0.33275, abs=5e-6)


def test_chained_past_a_cosines_end_is_still_the_product():
    torch = quirk("chained, past a cosine's end")
    parts = [
        js.compat.torch.CosineAnnealingLR(1.0, T_max=10),
        js.compat.torch.ExponentialLR(1.0, gamma=0.99),
    ]
    ours = values(js.compat.torch.ChainedScheduler(1.0, parts), 15)
    t = np.arange(15)
    product = (1 + np.cos(np.pi * t / 10)) / 2 * 0.99**t
    np.testing.assert_allclose(ours, product, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(torch[:11], product[:11], rtol=1e-6, atol=1e-12)
    assert torch[11] > 1.05 * product[11]  # torch adds there what it should multiply


@pytest.mark.parametrize(
    ("name", "torch_stays_at", "ours_is_at"),
    [("ConstantLR", 1 / 3, 1.0), ("LinearLR", 1 / 3, 1.0), ("PolynomialLR", 1.0, 0.0)],
)
def test_a_phase_of_no_length_is_over(name, torch_stays_at, ours_is_at):
    recorded = {"ConstantLR": "constant", "LinearLR": "linear", "PolynomialLR": "polynomial"}
    np.testing.assert_allclose(quirk(f"{recorded[name]} for no steps"), torch_stays_at)
    assert (
        values(getattr(js.compat.torch, name)(1.0, total_iters=0), 3).tolist() == [ours_is_at] * 3
    )


def test_a_product_of_factors_keeps_its_last_value_after_the_table():
    lr = js.compat.torch.MultiplicativeLR(1.0, lambda step: 0.5, total_steps=3)
    assert values(lr, 5).tolist() == [1.0, 0.5, 0.25, 0.125, 0.125]


def test_no_momentum_without_cycle_momentum():
    assert js.compat.torch.CyclicLR(1.0, 0.1, 1.0, cycle_momentum=False)[1] is None
    assert js.compat.torch.OneCycleLR(1.0, 1.0, total_steps=9, cycle_momentum=False)[1] is None


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda torch: torch.LinearLR(1.0, start_factor=0.0), "to rise from 0 use Linear"),
        (lambda torch: torch.LinearLR(1.0, end_factor=2.0), "end_factor within"),
        (lambda torch: torch.ConstantLR(1.0, factor=2.0), "factor within"),
        (lambda torch: torch.OneCycleLR(1.0, 1.0), "total_steps, or epochs and steps_per_epoch"),
        (lambda torch: torch.OneCycleLR(1.0, 1.0, total_steps=0), "at least 1, got total_steps=0"),
        (lambda torch: torch.OneCycleLR(1.0, 1.0, 10, pct_start=2.0), "within"),
        (lambda torch: torch.OneCycleLR(1.0, 1.0, 10, anneal_strategy="sin"), "'cos' or 'linear'"),
        (lambda torch: torch.SWALR(1.0, 0.1, anneal_strategy="sin"), "'cos' or 'linear'"),
        (lambda torch: torch.ChainedScheduler(1.0, []), "at least one"),
        (lambda torch: torch.ChainedScheduler(0.0, [torch.StepLR(0.0, 1)]), "above 0"),
        (lambda torch: torch.SequentialLR(1.0, [torch.StepLR(1.0, 1)], [3]), "0 for these 1"),
        (lambda torch: torch.MultiplicativeLR(1.0, abs, total_steps=0), "at least 1"),
        (lambda torch: torch.StepLR(1.0, 0), "step_size=0"),
    ],
)
def test_impossible_arguments_are_refused(build, told):
    with pytest.raises(ValueError, match=told):
        build(js.compat.torch)
