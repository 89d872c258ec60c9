"""Has this time come? Boundaries against fractions: on the host and under jit, however large."""

import math
import pickle
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jaxsched as js

MANY = settings(max_examples=100, deadline=None)
fractions = st.builds(Fraction, st.integers(1, 5000), st.integers(1, 128))


def values_around(schedule, step):
    """The values just before a step and at it: for Python numbers, for NumPy's, and under jit."""
    steps = np.array([max(step - 1, 0), step])
    host = [float(schedule(int(s))) for s in steps]
    np.testing.assert_array_equal(host, schedule(steps))
    if step % 10 == 3 or step > 2**24:  # only some, because each is one compilation
        return host, np.asarray(jax.jit(lambda t: schedule(t))(jnp.asarray(steps)))
    return (host,)


def assert_values(schedule, step, expected):
    for values in values_around(schedule, step):
        np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-30)


def assert_falls_at(schedule, step, before=1.0, after=0.5):
    assert_values(schedule, step, [before if step else after, after])


@MANY
@given(factor=fractions, milestone=st.integers(1, 5000))
def test_a_stretched_milestone(factor, milestone):
    schedule = js.Stretch(js.MultiStep(1.0, (milestone,), 0.5), float(factor))
    assert_falls_at(schedule, math.ceil(milestone * factor))


@MANY
@given(every=fractions, factor=fractions, lap=st.integers(1, 200))
def test_a_stretched_interval(every, factor, lap):
    schedule = js.Stretch(js.Step(1.0, float(every), 0.5), float(factor))
    step = math.ceil(lap * every * factor)
    assume(step < 2**31)  # which an update count can hold
    num_laps = [int(t / (every * factor)) for t in (step - 1, step)]
    assert_values(schedule, step, [0.5**n for n in num_laps])


@MANY
@given(boundary=fractions, every=fractions)
def test_an_interval_after_a_boundary(boundary, every):
    late = js.Step(1.0, float(every), 0.5)
    schedule = js.Sequence((js.Constant(2.0), late), (float(boundary),))
    first = math.ceil(boundary + every)
    before = 2.0 if first - 1 < boundary else 1.0
    after = 0.5 ** math.floor((first - boundary) / every)
    assert_falls_at(schedule, first, before, after)


@MANY
@given(
    percent=st.decimals(0, 99, places=2),
    num_examples=st.integers(1, 200_000),
    epochs=st.integers(1, 7),
    batch=st.integers(1, 600),
)
def test_a_share_of_a_run(percent, num_examples, epochs, batch):
    batch = min(batch, num_examples)
    plan = js.Plan((js.Phase(epochs, batch),), num_examples)
    step = math.ceil(Fraction(percent) / 100 * epochs * num_examples / batch)
    assert plan.first_step(f"{percent}%") == step
    assert_falls_at(plan.in_updates(js.MultiStep(1.0, (f"{percent}%",), 0.5)), step)
    came = plan.has_reached(f"{percent}%")(np.array([max(step - 1, 0), step]))
    assert came.tolist() == [step == 0, True]


@settings(max_examples=30, deadline=None)
@given(every=st.fractions(1, 3, max_denominator=50), num_examples=st.integers(60, 10**6))
def test_an_interval_of_epochs(every, num_examples):
    plan = js.Plan((js.Phase(40, 7), js.Phase(40, 60)), num_examples)
    schedule = plan.schedule(js.Step(1.0, float(every), 0.5))
    for lap in (1, 10, 20):
        step = plan.step_at(math.ceil(lap * every * num_examples))
        over = [int(Fraction(plan.examples_at(s), num_examples) / every) for s in (step - 1, step)]
        assert_values(schedule, step, [0.5**n for n in over])


@pytest.mark.parametrize("step", [2**24 + 1, 99_999_999, 2**31 - 2])
def test_far_beyond_what_float32_counts(step):
    assert_falls_at(js.MultiStep(1.0, (step,), 0.5), step)
    assert_falls_at(js.Stretch(js.MultiStep(1.0, (step,), 0.5), 1), step)
    assert_falls_at(js.Sequence((js.Constant(1.0), js.Constant(0.5)), (step,)), step)
    plan = js.Plan((js.Phase(17, 8),), 10**9)
    assert_falls_at(plan.in_updates(js.MultiStep(1.0, (f"{step} updates",), 0.5)), step)


def test_a_restart_trains_at_the_peak():
    """t / 115 under jit is just below 1, where the cosine is at its lowest."""
    steps = np.array([115 * 7 - 1, 115 * 7])
    for multiplier in (1, 2):
        schedule = js.Stretch(js.CosineRestarts(0.5, 1, multiplier), 115)
        for values in (schedule(steps), jax.jit(schedule.__call__)(jnp.asarray(steps))):
            assert values[0] < 1e-3 and values[1] == 0.5


@MANY
@given(first=fractions, cycles=st.integers(1, 9))
def test_the_last_of_so_many_restarts(first, cycles):
    """The floor begins at the very update at which the last cycle is over."""
    restarts = js.CosineRestarts(1.0, float(first), cycles=cycles, k_decay=0.25)
    step = math.ceil(first * cycles)
    u = (Fraction(step - 1) / first) % 1
    before = 0.5 + 0.5 * math.cos(math.pi * float(u) ** 0.25)
    host, *jitted = values_around(restarts, step)
    for values in (host, *jitted):
        np.testing.assert_allclose(values, [before, 0.0], rtol=2e-5, atol=1e-12)


@MANY
@given(duration=fractions, factor=fractions, lap=st.integers(1, 200))
def test_a_polynomial_cycle_ends_at_its_last_update(duration, factor, lap):
    """At n durations it is still at the end, as in Keras, however the clock is stretched."""
    schedule = js.Stretch(js.Polynomial(1.0, 0.0, float(duration), 1.0, cycle=True), float(factor))
    step = math.ceil(lap * duration * factor)
    assume(step < 2**31)
    laps = [Fraction(t) / (duration * factor) for t in (max(step - 1, 0), step)]
    expected = [float(1 - u / max(math.ceil(u), 1)) for u in laps]
    assert_close(schedule, step, expected)


def assert_close(schedule, step, expected):
    for values in values_around(schedule, step):
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-7)


@MANY
@given(every=fractions, lap=st.integers(1, 200))
def test_inverse_time_in_steps(every, lap):
    schedule = js.InverseTime(1.0, 7.0, every=float(every))
    step = math.ceil(lap * every)
    times = [int(t / every) * every for t in (step - 1, step)]
    assert_close(schedule, step, [float(1 / (1 + t / 7)) for t in times])


ON_HOST = [
    js.Warmup(js.OneCycle(0.1, 100, anneal="linear"), 5),
    js.Stretch(js.CosineRestarts(0.1, 3, multiplier=2), 1.5),
    js.Sequence((js.Cyclic(0.1, 0.6, 7, mode="triangular2"), js.WSD(0.1, 60, 10)), (30,)),
    js.Product((js.MultiStep(0.1, (30, 60)), js.Step(1.0, 7, 0.9), js.Exponential(1.0, 0.99))),
    js.Interpolate(((0, 0.1), (23, 1.0), (40, 0.5)), "cubic"),
    js.AtLeast(js.CosineRestarts(0.1, 9, 2, 0.01, 0.5, "bounds", 3, 1.5), 0.005),
    js.Sum((js.Tanh(0.1, 60), js.InverseTime(0.1, 9, every=7), js.Exponential(1.0, 0.9, 0.2))),
    js.Warmup(js.Polynomial(0.1, 0.0, 60, 0.9, True, 2.0), 5, 0.01, "cosine", 2.0),
    js.MultiStep(0.1, (30, 60), (0.5, 0.1)),
]


@pytest.mark.parametrize("schedule", ON_HOST)
def test_a_value_on_the_host_takes_no_operation_of_jax(schedule):
    """Within a trace the result of one would be a tracer, which NumPy refuses."""
    values = []
    jax.make_jaxpr(lambda: values.extend((schedule(50), schedule(50.5), schedule(np.arange(3)))))()
    assert [type(value) for value in values] == [np.float32, np.float32, np.ndarray]
    assert isinstance(schedule(jnp.arange(3)), jax.Array)


FITS = js.Linear(0.1, 0.0, 100)


@pytest.mark.parametrize(
    ("schedule", "longest"),
    [
        (FITS, 99),
        (js.WSD(0.1, 100, 20), 80),
        (js.OneCycle(0.1, 100), 30),
        (js.CosineRestarts(0.1, 10), 10),
        (js.Stretch(FITS, 0.5), 49),
        (js.Product((FITS, js.Constant(2.0))), 99),
        (js.Sequence((js.Constant(1.0), FITS), (20,)), 20),
    ],
)
def test_a_warm_up_that_reaches_past_the_turn_is_refused(schedule, longest):
    assert js.Warmup(schedule, longest)(longest) > 0
    with pytest.raises(ValueError, match=f"must be over before .*duration={longest + 1}"):
        js.Warmup(schedule, longest + 1)


def test_what_does_not_fit_a_run_is_refused_or_said():
    plan = js.Plan((js.Phase(5, 32),), 1500)
    with pytest.raises(ValueError, match=r"duration=10.6667 for a Cosine that ends at 5"):
        plan.schedule(js.Warmup(js.Cosine(0.2, "100%"), "500 updates"))
    with pytest.raises(ValueError, match=r"5 epochs long, got one of 10.6667"):
        plan.schedule(js.Warmup(js.Constant(0.2), "500 updates"))
    with pytest.warns(UserWarning, match="goes on until epoch 9, but the run ends at epoch 5"):
        plan.schedule(js.MultiStep(0.1, (3, 9)))
    assert plan.misfits(js.Cosine(0.1, 1)) == (
        "Cosine is over at epoch 1, and the run goes on to epoch 5.",
    )
    assert plan.misfits(js.Warmup(js.Cosine(0.1, "100%"), 1)) == ()
    cut = js.Sequence((js.Cosine(0.1, 4), js.Constant(0.1), js.Constant(0.2)), (3, 7))
    assert plan.misfits(cut) == (
        "Sequence cuts off a Cosine of 4 after 3.",
        "Sequence has a part that begins at epoch 7, after the run.",
    )
    assert plan.misfits(js.AtLeast(js.Linear(0.1, 0.0, "200%"), 0.01)) == (
        "AtLeast goes on until epoch 10, but the run ends at epoch 5.",
        "AtLeast has a floor of 0.01, and its Linear does not fall below 0.05 in the run.",
    )
    assert plan.misfits(js.AtLeast(js.Cosine(0.1, "100%"), 0.01)) == ()
    assert plan.misfits(js.Exponential(0.1, 0.5, end=0.001)) == (
        "Exponential goes on until epoch 6.64386, but the run ends at epoch 5.",
    )
    with pytest.raises(ValueError, match="for a stretch of 3; shorten it"):
        js.Sequence((js.Warmup(js.Constant(0.1), 4), js.Constant(0.1)), (3,))


LISTS = [
    (js.MultiStep(0.1, ["50%", "75%"]), js.MultiStep(0.1, ("50%", "75%"))),
    (
        js.Sequence([js.Constant(0.1), js.Constant(0.2)], ["2 epochs"]),
        js.Sequence((js.Constant(0.1), js.Constant(0.2)), ("2 epochs",)),
    ),
    (js.Product([js.Constant(0.1)]), js.Product((js.Constant(0.1),))),
    (js.Interpolate([[0, 1.0], [3, 0.5]]), js.Interpolate(((0, 1.0), (3, 0.5)))),
]


@pytest.mark.parametrize(("written", "meant"), LISTS)
def test_lists_are_tuples(written, meant):
    plan = js.Plan([js.Phase(10, 10)], 100)
    assert written == meant and hash(written) == hash(meant)
    assert plan.schedule(written)(50) == plan.schedule(meant)(50)


def test_schedules_of_arrays_compare_hash_and_pickle():
    def make(factor):
        return js.MultiStep(jnp.array([0.1, 0.2]) * factor, np.array([30, 60]))

    assert make(1) == make(1) and hash(make(1)) == hash(make(1))
    assert make(1) != make(2)
    assert make(1) != js.MultiStep(np.array([0.1, 0.2]), np.array([30, 60]))
    assert pickle.loads(pickle.dumps(make(1))) == make(1)
    seen = []
    jax.jit(lambda x: seen.append({js.Constant(x), js.Constant(x)}))(1.0)
    assert len(seen[0]) == 1


PLAN = js.Plan((js.Phase(10, 10),), 100)


@pytest.mark.parametrize(
    "predicate",
    [
        js.every(3),
        PLAN.is_epoch_start,
        PLAN.has_reached("30%"),
        PLAN.reaches(2),
        PLAN.every_epochs(2, 1),
        PLAN.schedule(js.MultiStep(0.1, ("50%",))),
    ],
)
def test_functions_of_the_update_count_pickle(predicate):
    steps = np.arange(100)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(predicate))(steps), predicate(steps))


def test_a_program_that_takes_a_schedule_is_exported():
    pytest.importorskip("flatbuffers")  # which `jax.export` needs to write a program
    program = jax.export.export(jax.jit(lambda schedule, t: schedule(t)))
    arguments = js.Warmup(js.OneCycle(jnp.float32(0.1), jnp.float32(100)), jnp.float32(5)), 50.0
    written = program(*arguments).serialize()
    value = jax.export.deserialize(written).call(*arguments)
    assert value == pytest.approx(float(js.Warmup(js.OneCycle(0.1, 100), 5)(50)), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["strict", "standard"])
def test_a_plan_keeps_time_under_every_rule_of_promotion(mode):
    for x64 in (False, True):
        with jax.numpy_dtype_promotion(mode), jax.enable_x64(x64):
            values = jax.jit(PLAN.schedule(js.Cosine(0.5, "100%")))(jnp.arange(3))
            assert values.dtype == jnp.float32 and PLAN.is_epoch_start(jnp.arange(3)).tolist()[0]


MISSPELT = [
    (lambda: js.OneCycle(1.0, 10, anneal="cos"), "anneal to be one of 'linear', 'cosine', got"),
    (lambda: js.Cyclic(0.1, 1.0, 10, mode="CATS"), "mode to be one of 'triangular'"),
    (lambda: js.Interpolate(((0, 1.0), (1, 0.5)), "linar"), "one of 'linear', 'cosine', 'cubic'"),
    (lambda: js.WSD(0.1, 100, 10, shape="sqrt"), "shape to be one of 'linear', '1-sqrt'"),
    (lambda: js.InverseSqrt(0.1, 10, form="shift"), "form to be one of 'shifted', 'held'"),
    (lambda: js.Cyclic(0.1, 1.0, 10, exp_range_of="both"), "one of 'amplitude', 'bounds'"),
    (lambda: js.OneCycle(1.0, 10, three_phase="no"), "three_phase to be True or False, got 'no'"),
    (lambda: js.Cosine(math.nan, 10), "finite number as peak, got nan"),
    (lambda: js.Cosine(0.1, math.inf), "finite number as duration, got inf"),
    (lambda: js.Cosine(None, 10), "number as peak, got None"),
    (lambda: js.Cosine(0.1, "ten"), "expected a time.*got 'ten'"),
    (lambda: js.MultiStep(0.1, 30), r"tuple of times as milestones, got 30.*\(30,\)"),
    (lambda: js.Interpolate((("1 epoch", 1.0), (2, 0.5))), "points that are numbers"),
    (lambda: js.every(390.625), "whole n of at least 1, got n=390.625; where an epoch is no"),
    (lambda: PLAN.every_epochs(1.5), "whole n of at least 1, got n=1.5"),
    (lambda: js.Phase("x", 32), "finite epochs above 0, got epochs='x'"),
    (lambda: js.Plan((js.Phase(1e30, 10),), 100), r"at most 2\*\*31 - 2 updates"),
    (lambda: js.Plan(js.Phase(1, 10), 100), "tuple of phases"),
]


@pytest.mark.parametrize(("make", "message"), MISSPELT)
def test_what_was_not_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
