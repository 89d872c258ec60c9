"""Times with units: their grammar, and how a plan converts them to epochs."""

import dataclasses

import numpy as np
import pytest

import jaxsched as js
from jaxsched.schedules.units import parse_time

PLAN = js.Plan((js.Phase(50, 100),), num_examples=1000)


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        ("5 epochs", 5.0),
        ("1 epoch", 1.0),
        ("2.5epochs", 2.5),
        ("500 updates", 50.0),
        ("1 UPDATE", 0.1),
        ("1e4 examples", 10.0),
        ("10_000 examples", 10.0),
        ("30%", 15.0),
        (" 100 % ", 50.0),
        ("0 updates", 0.0),
    ],
)
def test_every_unit(text, epochs):
    resolved = PLAN.resolve(js.Cosine(0.1, duration=text))
    assert resolved == js.Cosine(0.1, duration=pytest.approx(epochs, rel=1e-7))


@pytest.mark.parametrize("text", ["", "5", "%", "five epochs", "5 parsecs", "5 epochs 3", "e3 %"])
def test_what_is_no_time_is_refused_with_the_grammar(text):
    with pytest.raises(ValueError, match=r"'500 updates', '1e6 examples' or '30%', got"):
        parse_time(text)


@pytest.mark.parametrize("text", ["-5 epochs", "-1%", "0.5 updates"])
def test_times_before_the_start_and_half_updates_are_refused(text):
    with pytest.raises(ValueError, match="at least 0, and whole updates"):
        PLAN.resolve(js.Cosine(0.1, duration=text))


def test_units_mix_in_one_schedule_and_in_what_it_combines():
    written = js.Sequence(
        (js.Warmup(js.Constant(0.1), "50 updates"), js.MultiStep(0.1, ("10%", "20 epochs"))),
        boundaries=("5000 examples",),
    )
    assert PLAN.resolve(written) == js.Sequence(
        (js.Warmup(js.Constant(0.1), 5.0), js.MultiStep(0.1, (5.0, 20.0))), boundaries=(5.0,)
    )


def test_numbers_stay_as_they_are():
    schedule = js.Product((js.Cosine(0.1, 30), js.WSD(1.0, duration=30, cooldown=5)))
    assert PLAN.resolve(schedule) is schedule


def test_a_change_falls_on_the_very_update():
    """Even if the update's time in epochs is not a round number, and batch sizes change."""
    plan = js.Plan((js.Phase(3, 7), js.Phase(3, 11)), num_examples=97)
    for update in (1, 13, 41, 42, 43, 50, 60):
        lr = plan.schedule(js.MultiStep(1.0, (f"{update} updates",), factor=0.5))
        values = np.asarray(lr(np.arange(plan.total_steps)))
        np.testing.assert_array_equal(values, np.where(np.arange(len(values)) < update, 1.0, 0.5))


def test_other_epochs_or_batch_size_resolve_anew():
    written = js.OneCycle(0.1, duration="100%")
    for phases, duration in (((50, 100), 50.0), ((10, 20), 10.0)):
        plan = js.Plan((js.Phase(*phases),), num_examples=1000)
        assert plan.resolve(written).duration == duration
    warmup = js.Warmup(js.Constant(0.1), "100 updates")
    assert PLAN.resolve(warmup).duration == 10.0
    larger = dataclasses.replace(PLAN, phases=(js.Phase(50, 200),))
    assert larger.resolve(warmup).duration == 20.0


def test_the_momentum_twin_keeps_the_unit():
    twin = js.OneCycle(0.1, duration="50%").momentum()
    assert PLAN.resolve(twin).duration == 25.0


def test_a_value_has_no_unit():
    with pytest.raises(ValueError, match=r"Cosine.peak is a value, not a time.* got '30%'"):
        PLAN.resolve(js.Cosine("30%", duration=10))


def test_a_schedule_that_is_not_resolved_says_so():
    with pytest.raises(ValueError, match=r"got '30%'; resolve it by Plan.resolve"):
        js.Cosine(0.1, duration="30%")(0)
    with pytest.raises(ValueError, match=r"got '30%'; resolve it by Plan.resolve"):
        js.OneCycle(0.1, duration="30%")(0)
