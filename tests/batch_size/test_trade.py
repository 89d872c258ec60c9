"""Trades against the paper's update counts, and the noise of every update in plain Python."""

import bisect
import math
import re
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import jaxsched as js

MOST_STEPS = 4096  # one shape for all plans, so that each operation compiles once

CIFAR = {"batch_size": 128, "epochs": 200, "num_examples": 50_000, "momentum": 0.9}
STEPS = js.MultiStep(0.1, (60, 120, 160), 0.2)


def by_plan(plan, schedule):
    """The value of a schedule at each update of a plan."""
    values = plan.schedule(schedule)(jnp.arange(MOST_STEPS))
    assert plan.total_steps <= MOST_STEPS
    return np.asarray(values, float)[: plan.total_steps]


def sizes_and_examples(plan):
    steps = range(plan.total_steps)
    sizes = np.array([plan.batch_size_at(step) for step in steps])
    return sizes, np.array([plan.examples_at(step) for step in steps])


# --- Published counts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "phases", "updates"),
    [
        ({}, [(60, 128), (60, 640), (40, 3200), (40, 5120)], 29_142),
        ({"lr_factor": 5}, [(60, 640), (60, 3200), (80, 5120)], 6_407),
        ({"lr_factor": 5, "new_momentum": 0.98}, [(60, 3200), (140, 5120)], 2_305),
        ({"mode": "hybrid"}, [(60, 128), (140, 640)], 34_376),
        ({"mode": "lr"}, [(200, 128)], 78_125),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_cifar_runs_of_the_batch_size_paper(arguments, phases, updates):
    traded = js.trade(STEPS, **CIFAR, max_batch_size=5120, **arguments)
    assert traded.phases == tuple(js.Phase(*phase) for phase in phases)
    assert traded.plan.total_steps == updates
    assert all(isinstance(phase.epochs, int) for phase in traded.phases)
    for epoch in (0, 59.9, 60, 119.9, 120, 159.9, 160, 199.9):
        size = traded.plan.batch_size_at(traded.plan.first_step(epoch))
        drops = bisect.bisect([60, 120, 160], epoch)
        slower = 1 - float(traded.momentum(epoch))
        before = 0.1 * 0.2**drops / 128 / 0.1
        assert float(traded.lr(epoch)) / size / slower == pytest.approx(before, rel=3e-6)


@pytest.mark.parametrize(
    ("arguments", "phases", "updates"),
    [
        ({"mode": "lr"}, [(90, 8192)], 14_076),
        ({}, [(30, 8192), (60, 65_536)], 5_865),
        ({"new_momentum": 0.975}, [(30, 32_768), (60, 65_536)], 2_346),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_imagenet_runs_of_the_batch_size_paper(arguments, phases, updates):
    lr = js.Warmup(js.MultiStep(3.0, (30, 60, 80), 0.1), 5)
    traded = js.trade(
        lr,
        batch_size=8192,
        epochs=90,
        num_examples=1_281_167,
        momentum=0.9,
        max_batch_size=65_536,
        **arguments,
    )
    assert traded.phases == tuple(js.Phase(*phase) for phase in phases)
    assert traded.plan.total_steps == updates


def test_schedules_are_as_simple_as_written_by_hand():
    assert js.trade(STEPS, **CIFAR, max_batch_size=5120).lr == js.Sequence(
        (js.Constant(0.1), js.Constant(0.032)), boundaries=(160,)
    )
    assert js.trade(STEPS, **CIFAR, max_batch_size=16_000).lr == js.Constant(0.1)
    assert js.trade(STEPS, **CIFAR, mode="lr").lr == STEPS
    cosine = js.trade(js.Cosine(0.1, "100%"), **CIFAR, mode="hybrid")
    half, (_, growth) = cosine.phases[0].epochs, cosine.lr.parts
    assert cosine.lr.parts[0] == js.Cosine(0.1, 200.0)
    assert growth.parts == (js.Constant(1.0), js.Constant(2.0))
    assert half == pytest.approx(100, abs=1e-4)  # a cosine is at half of its peak half-way
    assert eval(repr(cosine.lr), {name: getattr(js, name) for name in js.__all__}) == cosine.lr


# --- The noise at every update ---------------------------------------------------------------


def falling(draw, epochs):
    """A schedule that never rises and its formula in plain Python."""
    families = ["steps", "cosine", "linear", "exponential", "wsd", "tanh", "inverse", "floor"]
    family = draw(st.sampled_from(families))
    peak = draw(st.sampled_from([0.1, 0.37, 3.0]))
    if family == "steps":
        shares = draw(st.lists(st.integers(1, 999), min_size=1, max_size=4, unique=True))
        times = sorted(epochs * share / 1000 for share in shares)
        factor = draw(st.sampled_from([0.1, 0.2, 0.3, 0.5]))
        # A milestone at the very example where an update begins is passed, however t is rounded.
        return (
            js.MultiStep(peak, tuple(times), factor),
            lambda t: peak * factor ** bisect.bisect(times, t + 1e-9),
        )
    if family == "cosine":
        return js.Cosine(peak, epochs), lambda t: peak * math.cos(math.pi / 2 * t / epochs) ** 2
    if family == "linear":
        return js.Linear(peak, 0.0, epochs), lambda t: peak * (epochs - t) / epochs
    if family == "exponential":
        return js.Exponential(peak, 0.75), lambda t: peak * 0.75**t
    if family == "tanh":
        return js.Tanh(peak, epochs), lambda t: peak * (1 - math.tanh(9 * t / epochs - 6)) / 2
    if family == "inverse":  # in steps
        return (
            js.InverseTime(peak, 0.5, 2.0, every=epochs / 4),
            lambda t: peak / (1 + 2 * (t // (epochs / 4) * (epochs / 4))) ** 2,
        )
    if family == "floor":
        floored = js.AtLeast(js.Exponential(peak, 0.5), peak / 3)
        return floored, lambda t: max(peak * 0.5**t, peak / 3)
    begin = epochs / 2
    return (
        js.WSD(peak, epochs, cooldown=begin, shape="linear"),
        lambda t: peak * min(1.0, (epochs - t) / begin),
    )


@st.composite
def schedules(draw, epochs):
    """A schedule, its formula and whether it only falls."""
    if draw(st.booleans()):
        return *falling(draw, epochs), True
    if draw(st.booleans()):
        top, last = 0.3 * epochs, 0.5 / 25e4

        def one_cycle(t):
            if t < top:
                return 0.02 + 0.48 * math.sin(math.pi / 2 * t / top) ** 2
            left = (epochs - t) / (epochs - top)
            return last + (0.5 - last) * math.sin(math.pi / 2 * left) ** 2

        return js.OneCycle(0.5, epochs), one_cycle, False
    curve, formula = falling(draw, epochs)
    duration = draw(st.sampled_from([0.25, 0.5, 1.0]))

    def warm(t):
        return formula(t) if t >= duration else formula(duration) * t / duration

    return js.Warmup(curve, duration), warm, False


@st.composite
def references(draw):
    """Arguments of a trade, with the formula of its learning rate."""
    num_examples = draw(st.integers(300, 3000))
    epochs = draw(st.sampled_from([2, 4.5, 7]))
    multiple_of = draw(st.sampled_from([1, 1, 2, 3]))
    least = num_examples // 300 // multiple_of + 1
    batch_size = multiple_of * draw(st.integers(least, least + 8))
    lr, formula, falls = draw(schedules(epochs))
    arguments = {
        "batch_size": batch_size,
        "epochs": epochs,
        "num_examples": num_examples,
        "max_batch_size": draw(st.integers(batch_size, max(batch_size, num_examples // 4))),
        "multiple_of": multiple_of,
        "momentum": draw(st.sampled_from([0.0, 0.9, 0.95])),
    }
    return lr, formula, falls, arguments


def a_milestone_where_an_update_begins():
    """A milestone at 0.54 epochs of 300 examples, which is example 162."""
    steps = js.Warmup(js.MultiStep(0.1, (0.54,), 0.1), 0.25)
    arguments = {"batch_size": 2, "epochs": 4.5, "num_examples": 300, "max_batch_size": 2}
    arguments |= {"multiple_of": 1, "momentum": 0.0}
    return steps, lambda t: 0.1 * min(t / 0.25, 1.0) if t < 0.54 - 1e-9 else 0.01, False, arguments


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@example(a_milestone_where_an_update_begins(), "batch", "sgd")
@given(
    references(),
    st.sampled_from(["batch", "hybrid"]),
    st.sampled_from(["sgd", "sqrt", "seesaw"]),
)
def test_the_noise_of_every_update_is_the_references(reference, mode, rule):
    lr, formula, falls, arguments = reference
    traded = js.trade(lr, **arguments, mode=mode, rule=rule)
    N, first = arguments["num_examples"], arguments["batch_size"]
    sizes, examples = sizes_and_examples(traded.plan)

    power = 1 if rule == "sgd" else 0.5
    before = [formula(e / N) * (N / first) ** power for e in examples]
    after = by_plan(traded.plan, traded.lr) * (N / sizes) ** power
    np.testing.assert_allclose(after, before, rtol=2e-6, atol=1e-12)

    assert set(sizes % arguments["multiple_of"]) == {0}
    assert first == sizes[0] <= sizes.max() <= arguments["max_batch_size"]
    if mode == "hybrid":
        assert len(set(sizes)) <= 2
    end = round(arguments["epochs"] * N)
    assert end <= traded.plan.examples_at(traded.plan.total_steps) < end + sizes[-1]
    assert traded.plan.total_steps <= traded.reference.plan.total_steps
    if falls:
        assert (np.diff(sizes) >= 0).all()


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(references(), st.sampled_from(["sgd", "sqrt", "seesaw"]))
def test_there_and_back_gives_the_reference(reference, rule):
    lr, _, _, arguments = reference
    there = js.trade(lr, **arguments, rule=rule)
    back = js.trade(
        there.lr,
        batch_size=there.phases,
        num_examples=arguments["num_examples"],
        momentum=there.momentum,
        mode="lr",
        rule=rule,
    )
    assert back.plan.total_steps == there.reference.plan.total_steps
    assert back.plan.batch_sizes == (arguments["batch_size"],)
    expected = by_plan(back.plan, there.reference.lr)
    np.testing.assert_allclose(by_plan(back.plan, back.lr), expected, rtol=2e-6, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(100, 1300),
    st.integers(1, 12),
    st.lists(st.integers(1, 2999), min_size=1, max_size=3, unique=True),
)
def test_batch_size_and_lr_change_at_the_first_update_past_the_milestone(
    N, batch_size, thousandths
):
    """Also for a milestone within an epoch; one update off would be off by a factor of five."""
    milestones = tuple(share / 1000 for share in sorted(thousandths))
    lr = js.MultiStep(0.1, milestones, 0.2)
    traded = js.trade(
        lr, batch_size=batch_size, epochs=3, num_examples=N, max_batch_size=max(N // 5, 20)
    )
    sizes, examples = sizes_and_examples(traded.plan)
    cap = max(N // 5, 20)
    exact = [Fraction(share, 1000) * N for share in thousandths]
    passed = [sum(e >= example for example in exact) for e in examples]
    ideal = [batch_size * 5**n for n in passed]
    np.testing.assert_array_equal(sizes, np.minimum(ideal, cap))
    expected = [0.1 * size / want for size, want in zip(sizes, ideal, strict=True)]
    np.testing.assert_allclose(by_plan(traded.plan, traded.lr), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("rule", "sizes", "rates"),
    [
        ("sgd", (10, 40, 160), (0.1, 0.1, 0.1)),
        ("sqrt", (10, 160, 2560), (0.1, 0.1, 0.1)),
        ("seesaw", (10, 40, 160), (0.1, 0.05, 0.025)),
    ],
)
def test_each_rule_gives_the_batch_its_share_of_a_fall(rule, sizes, rates):
    lr = js.MultiStep(0.1, (1, 2), 0.25)
    recipe = {"batch_size": 10, "epochs": 3, "num_examples": 50_000}
    traded = js.trade(lr, **recipe, rule=rule)
    assert traded.plan.batch_sizes == sizes
    np.testing.assert_allclose(traded.lr(jnp.array([0, 1, 2])), rates, rtol=1e-6)
    twice = js.trade(lr, **recipe, rule=rule, lr_factor=2, mode="lr")
    assert twice.plan.batch_sizes == (20 if rule == "sgd" else 40,)
    np.testing.assert_allclose(twice.lr(0), 0.2, rtol=1e-6)


def test_a_size_that_no_update_would_have_is_skipped_on_the_way_back_too():
    """Between examples 1003 and 1006 the reference has an update, and batches of 10 have none."""
    lr = js.MultiStep(0.1, (0.5, 1.003, 1.006), 0.4)
    there = js.trade(lr, batch_size=4, epochs=2, num_examples=1000)
    assert there.plan.batch_sizes == (4, 10, 62)
    assert [phase.epochs for phase in there.phases] == [0.5, 0.506, 0.994]
    back = js.trade(there.lr, batch_size=there.phases, num_examples=1000, mode="lr")
    expected = by_plan(back.plan, lr)
    np.testing.assert_allclose(by_plan(back.plan, back.lr), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("by_hand", "allowed"), [(None, [4, 8, 16, 32, 64, 100]), ([4, 6, 12, 60], [4, 6, 12, 60])]
)
def test_batches_take_the_largest_allowed_size_up_to_the_ideal(by_hand, allowed):
    """A straight line to zero: the ideal batch is B · T / (T − t)."""
    N, epochs = 1000, 10
    traded = js.trade(
        js.Linear(0.1, 0.0, epochs),
        batch_size=4,
        epochs=epochs,
        num_examples=N,
        batch_sizes=by_hand,
    )
    sizes, examples = sizes_and_examples(traded.plan)
    ideal = 4 * epochs * N / (epochs * N - examples)
    expected = np.array(allowed)[np.searchsorted(allowed, ideal * (1 + 1e-9), side="right") - 1]
    np.testing.assert_array_equal(sizes, expected)


def test_a_cycle_shrinks_the_batch_again():
    lr = js.CosineRestarts(0.1, first=4)
    sizes, _ = sizes_and_examples(js.trade(lr, batch_size=10, epochs=8, num_examples=1000).plan)
    half = np.flatnonzero(np.diff(sizes) < 0)
    assert len(half) == 1  # at the restart
    assert sizes[half + 1] == 10
    assert set(sizes) == {10, 20, 40, 80, 100}


def test_a_reference_may_have_phases_of_its_own():
    """The reference both grows its batch and decays its learning rate, at different times."""
    N, phases = 997, (js.Phase(1.25, 7), js.Phase(2.5, 21), js.Phase(1.25, 14))
    lr = js.MultiStep(0.3, (0.7, 2.0), 0.5)
    traded = js.trade(lr, batch_size=phases, num_examples=N, max_batch_size=150)
    sizes, examples = sizes_and_examples(traded.plan)
    ends = [round(1.25 * N), round(3.75 * N)]
    was = [phases[bisect.bisect(ends, e)].batch_size for e in examples]
    rates = [0.3 * 0.5 ** bisect.bisect([0.7, 2.0], e / N) for e in examples]
    before = np.array(rates) / was
    np.testing.assert_allclose(by_plan(traded.plan, traded.lr) / sizes, before, rtol=2e-6)
    expected = 7 * before[0] / before
    np.testing.assert_array_equal(sizes, np.floor(expected * (1 + 1e-9)))


def test_momentum_of_a_schedule_is_kept():
    cycle = js.OneCycle(0.5, 4)
    traded = js.trade(cycle, batch_size=8, epochs=4, num_examples=1000, momentum=cycle.momentum())
    assert traded.momentum == cycle.momentum()


# --- Weight decay ----------------------------------------------------------------------------


@pytest.mark.parametrize("coupling", ["l2", "times_lr", "independent"])
@pytest.mark.parametrize(
    "arguments",
    [{}, {"new_momentum": 0.8}, {"rule": "sqrt"}, {"rule": "seesaw"}],
    ids=str,
)
def test_a_weight_loses_as_much_an_epoch_as_before(coupling, arguments):
    def loss(trade_or_recipe, epoch, batch_size):
        decay, lr, m = (
            float(getattr(trade_or_recipe, name)(epoch))
            for name in ("weight_decay", "lr", "momentum")
        )
        rate = {"l2": lr / (1 - m), "times_lr": lr, "independent": 1.0}[coupling]
        return decay * rate / batch_size

    traded = js.trade(
        js.MultiStep(0.1, (1, 2), 0.25),
        batch_size=10,
        epochs=3,
        num_examples=2000,
        momentum=0.6,
        weight_decay=1e-3,
        coupling=coupling,
        **arguments,
    )
    assert len(traded.phases) > 1
    for epoch in (0, 0.9, 1, 1.9, 2, 2.9):
        size = traded.plan.batch_size_at(traded.plan.first_step(epoch))
        before = loss(traded.reference, epoch, 10)
        assert loss(traded, epoch, size) == pytest.approx(before, rel=2e-6)


def test_weight_decay_is_adapted_as_in_the_docstring():
    def last_decay(coupling, **arguments):
        traded = js.trade(
            js.MultiStep(0.1, (1,), 0.2),
            batch_size=10,
            epochs=2,
            num_examples=10_000,
            weight_decay=1e-4,
            momentum=0.9,
            coupling=coupling,
            **arguments,
        )
        return round(float(traded.weight_decay(1.5)), 9)

    assert last_decay("l2") == last_decay("times_lr") == 1e-4
    assert last_decay("independent") == 5e-4
    for coupling, expected in (("l2", 1e-4), ("times_lr", 5e-4), ("independent", 5e-4)):
        assert last_decay(coupling, new_momentum=0.98, mode="lr") == expected


# --- The table -------------------------------------------------------------------------------


def test_the_table_shows_the_ideal_sizes_and_the_updates_saved():
    table = js.trade(STEPS, **CIFAR, max_batch_size=5120, weight_decay=5e-4).table()
    head, *rows, last = [re.split(r"\s{2,}", line) for line in table.splitlines()]
    assert head[-3:] == ["g before", "g after", "updates"]
    assert [row[-1] for row in rows] == ["23438", "4688", "625", "391"]
    assert all(row[-3] == row[-2] for row in rows)
    assert rows[-1][:4] == ["160 → 200", "5120", "16000", "0.032"]
    assert last == ["78125 updates before, 29142 after: 2.7 times fewer."]


# --- Refusals --------------------------------------------------------------------------------

SMALL = {"lr": 0.1, "batch_size": 100, "epochs": 2, "num_examples": 10_000}
NAN_FROM_1 = js.Function(lambda t: jnp.where(t < 1, 0.1, jnp.nan))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "both"}, "mode to be one of ['batch', 'hybrid', 'lr'], got mode='both'"),
        ({"rule": "lars"}, "rule to be one of ['sgd', 'sqrt', 'seesaw'], got rule='lars'"),
        ({"coupling": "L2"}, "coupling to be one of ['l2', 'times_lr', 'independent']"),
        ({"max_batch_size": 50}, "first batch, 100, got 50; use lr_factor=0.5 or max_batch_size="),
        ({"lr_factor": 20}, "first batch, 2000, got 1000; use lr_factor=10 or max_batch_size=2000"),
        ({"lr_factor": 4, "rule": "sqrt"}, "got 1000; use lr_factor=3.16227766 or"),
        ({"lr_factor": 0.0}, "finite lr_factor above 0, got 0.0"),
        ({"max_batch_size": 10_001}, "training set of 10000 examples, got max_batch_size=10001"),
        ({"batch_size": 20_000}, "use batch_size=10000 or less"),
        ({"lr_factor": 200}, "of 10000 examples, got a first batch of 20000"),
        ({"lr_factor": 1.234}, "multiple of 1, got 123.4; the nearest are 123 and 124, by lr_f"),
        ({"multiple_of": 8}, "multiple of 8, got 100; the nearest are 96 and 104, by lr_factor=0"),
        ({"batch_sizes": (100, 300, 200)}, "ascend from the first batch, 100, to at most 10000"),
        ({"batch_sizes": (200, 300)}, "got [200, 300]"),
        ({"batch_sizes": (100, 150), "multiple_of": 100}, "in multiples of 100, got [100, 150]"),
        ({"batch_sizes": (100, 150), "max_batch_size": 120}, "to at most 120"),
        ({"multiple_of": 0}, "multiple_of of at least 1, got 0"),
        ({"momentum": 1.0}, "momentum within [0, 1) throughout, got 1 at epoch 0"),
        ({"momentum": js.MultiStep(0.5, (1,), 2.0)}, "got 1 at epoch 1"),
        ({"new_momentum": 1.0}, "new_momentum within [0, 1), got 1.0"),
        ({"new_momentum": 0.5, "momentum": js.Linear(0.5, 0.6, 2)}, "leave new_momentum out"),
        ({"new_momentum": 0.5, "rule": "sqrt"}, "leave new_momentum out"),
        ({"lr": -0.1}, "lr within [0, inf) throughout, got -0.1 at epoch 0"),
        ({"lr": NAN_FROM_1}, "got nan at epoch 1"),
        ({"lr": 0.0}, "lr above 0 somewhere"),
        ({"weight_decay": -1e-4}, "weight_decay within [0, inf) throughout, got -0.0001"),
        ({"epochs": None}, "needs the epochs of the reference, got batch_size=100 alone"),
        ({"batch_size": (js.Phase(2, 100),)}, "no epochs beside phases"),
        (
            {"lr": js.Cyclic(0.01, 0.5, up=0.01), "epochs": 10},
            "batch changes at most 128 times, got one that rises and falls more often; use mode",
        ),
        ({"lr": "0.1"}, "trade needs a schedule or a function of time"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    arguments = SMALL | arguments
    with pytest.raises(ValueError, match=re.escape(message)):
        js.trade(arguments.pop("lr"), **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_batch_size": 50},
        {"lr_factor": 20},
        {"lr_factor": 4, "rule": "sqrt"},
        {"lr_factor": 1.234},
        {"multiple_of": 8},
        {"multiple_of": 8, "rule": "seesaw", "max_batch_size": 3000, "lr_factor": 5},
    ],
    ids=str,
)
def test_the_learning_rates_that_a_refusal_names_work(arguments):
    arguments = SMALL | arguments
    lr = arguments.pop("lr")
    with pytest.raises(ValueError, match="lr_factor=") as refusal:
        js.trade(lr, **arguments)
    named = re.search(r"lr_factor=([\d.]+)(?: or ([\d.]+\d))?", str(refusal.value))
    for factor in filter(None, named.groups()):
        js.trade(lr, **(arguments | {"lr_factor": float(factor)}))
