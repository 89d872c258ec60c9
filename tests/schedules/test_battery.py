"""The properties that every schedule must have; a new one needs an entry in both tables.

The classes are found by introspection. `FORMULAS` states each in plain Python, in float64 and for
times from 0 on, and `examples` has the instances to test. Both tables must be complete.
"""

import dataclasses
import functools
import importlib
import itertools
import math
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

import jaxsched as js
from jaxsched.experiment import describe

SHORT, LONG = 1, 100_000  # runs of about 100 and of about 10⁷ units of time
LENGTH = 2048
INT32 = np.iinfo(np.int32)


def find_classes():
    """Every Schedule class that a module of jaxsched.schedules defines."""
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.walk_packages(js.schedules.__path__, f"{js.schedules.__name__}.")
    ]
    classes = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, js.Schedule)
        and value.__module__ == module.__name__
    }
    return sorted(classes - {js.Schedule}, key=lambda cls: cls.__name__)


def share(t, duration):
    return min(t / duration, 1.0) if duration else 1.0


def half_wave(first, last, done):
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2


def between(first, last, done, curve):
    return half_wave(first, last, done) if curve == "cosine" else first + (last - first) * done


def through(t, points, curve):
    """Piecewise, later points first, so that a jump belongs to the later piece."""
    for (start, first), (end, last) in reversed(list(itertools.pairwise(points))):
        if t >= start:
            return between(first, last, share(t - start, end - start), curve)
    return points[0][1]


def cosine(s, t):
    wave = half_wave(1, 0, share(t, s.duration) ** s.k_decay)
    return s.end + (s.peak - s.end) * wave**s.exponent


def polynomial(s, t):
    cycles = max(math.ceil(t / s.duration), 1) if s.cycle else 1
    gone = share(t, cycles * s.duration) ** s.k_decay
    return s.end + (s.start - s.end) * (1 - gone) ** s.power


def restarts(s, t):
    start, length, cycle = 0, s.first, 0
    if s.multiplier == 1:
        cycle = int(t // length)
        start = cycle * length
    while t >= start + length:
        start, length, cycle = start + length, length * s.multiplier, cycle + 1
    done = ((t - start) / length) ** s.k_decay
    if s.cycles is not None and cycle >= s.cycles:
        cycle, done = s.cycles - 1, 1.0
    scale = s.decay**cycle
    if s.decay_of == "amplitude":
        return s.end + scale * half_wave(s.peak - s.end, 0, done)
    if s.decay_of == "peak":
        return half_wave(max(s.peak * scale, s.end), s.end, done)
    return half_wave(s.peak * scale, s.end * scale, done)


def exponential(s, t):
    value = s.value * s.rate**t
    if s.end is None:
        return value
    return min(value, s.end) if s.rate > 1 else max(value, s.end)


def multi_step(s, t):
    passed = sum(t >= m for m in s.milestones)
    factors = s.factor if isinstance(s.factor, tuple) else (s.factor,) * passed
    return s.value * math.prod(factors[:passed])


def tanh(s, t):
    if t >= s.duration:
        return s.end
    place = s.lower + (s.upper - s.lower) * t / s.duration
    return s.end + (s.peak - s.end) * (1 - math.tanh(place)) / 2


def inverse_time(s, t):
    if s.every is not None:
        t = t // s.every * s.every
    return s.peak / (1 + t / s.timescale) ** s.power


def cyclic(s, t):
    down = s.up if s.down is None else s.down
    cycle, now = divmod(t, s.up + down)
    x = now / s.up if now < s.up else 1 - (now - s.up) / down
    scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": s.gamma**t}[s.mode]
    x = (1 - math.cos(math.pi * x)) / 2 if s.curve == "cosine" else x
    if s.mode == "exp_range" and s.exp_range_of == "bounds":
        return (s.base + (s.peak - s.base) * x) * scale
    return s.base + (s.peak - s.base) * x * scale


def one_cycle(s, first, second, third, t):
    turn = s.rise * s.duration
    middle = [(2 * turn, first)] if s.three_phase else []
    points = [(0, first), (turn, second), *middle, (s.duration, third)]
    return through(t, points, s.anneal)


def smith(s, t):
    if t < s.half:
        return s.base + (s.peak - s.base) * t / s.half
    return max(s.base / s.divisor, s.peak * (2 - t / s.half) if s.half else 0.0)


def wsd(s, t):
    if t < s.warmup:
        return s.start + (s.peak - s.start) * t / s.warmup
    stable = s.duration - s.cooldown
    u = share(max(t - stable, 0), s.cooldown)
    if s.shape == "exponential":
        return s.peak * (s.end / s.peak) ** u
    remaining = {
        "linear": 1 - u,
        "1-sqrt": 1 - math.sqrt(u),
        "cosine": (1 + math.cos(math.pi * u)) / 2,
        "1-square": 1 - u**2,
    }[s.shape]
    return s.end + (s.peak - s.end) * remaining


def inverse_sqrt(s, t):
    times = 1 + t / s.timescale if s.form == "shifted" else max(t, s.timescale) / s.timescale
    return s.peak / math.sqrt(times)


def interpolate(s, t):
    if s.curve != "cubic":
        return through(t, s.points, s.curve)
    times, values = zip(*s.points, strict=True)
    return float(PchipInterpolator(times, values)(min(max(t, times[0]), times[-1])))


def sequence(s, t):
    part, start = s.parts[0], 0
    for later, boundary in zip(s.parts[1:], s.boundaries, strict=True):
        if t >= boundary:
            part, start = later, boundary
    return formula(part, t - start)


def warmup(s, t):
    if t >= s.duration:
        return formula(s.schedule, t)
    rise = between(0, 1, t / s.duration, s.curve) ** s.power
    return s.start + (formula(s.schedule, s.duration) - s.start) * rise


FORMULAS = {
    js.AtLeast: lambda s, t: max(formula(s.schedule, t), s.floor),
    js.Constant: lambda s, t: s.value,
    js.Cosine: cosine,
    js.CosineRestarts: restarts,
    js.Cyclic: cyclic,
    js.Exponential: exponential,
    js.Function: lambda s, t: float(s.fn(t)),
    js.Interpolate: interpolate,
    js.InverseSqrt: inverse_sqrt,
    js.InverseTime: inverse_time,
    js.Linear: lambda s, t: between(s.start, s.end, share(t, s.duration), "linear"),
    js.MultiStep: multi_step,
    js.OneCycle: lambda s, t: one_cycle(
        s,
        s.peak / s.div_factor,
        s.peak,
        s.peak / s.div_factor / s.final_div_factor,
        t,
    ),
    js.OneCycleMomentum: lambda s, t: one_cycle(s, s.high, s.low, s.high, t),
    js.Polynomial: polynomial,
    js.Power: lambda s, t: min(s.peak, s.amplitude * t**s.exponent) if t else s.peak,
    js.Product: lambda s, t: math.prod(formula(part, t) for part in s.parts),
    js.Rex: lambda s, t: (
        s.end + (s.peak - s.end) * (1 - share(t, s.duration)) / (1 - s.alpha * share(t, s.duration))
    ),
    js.SWAConstant: lambda s, t: through(
        t, [(0.5 * s.start, s.peak), (0.9 * s.start, s.swa)], "linear"
    ),
    js.SWACyclic: lambda s, t: between(
        s.high, s.low, share(t % s.cycle + s.update, s.cycle), "linear"
    ),
    js.Sequence: sequence,
    js.SmithOneCycle: smith,
    js.Step: lambda s, t: s.value * s.factor ** (t // s.every),
    js.Stretch: lambda s, t: formula(s.schedule, t / s.factor),
    js.Sum: lambda s, t: sum(formula(part, t) for part in s.parts),
    js.Tanh: tanh,
    js.WSD: wsd,
    js.Warmup: warmup,
}


def formula(schedule, t):
    return FORMULAS[type(schedule)](schedule, t)


@dataclasses.dataclass(frozen=True)
class Example:
    schedule: js.Schedule
    course: str  # "falls", "rises", "turns" (both, then constant) or "cycles"
    end: float = 0.0  # the time from which on it never changes, unless it has no end
    endless: bool = False


def halving(t):
    return 1 / (1 + t)


def examples(unit):
    """Instances whose runs are about 100 units long."""
    n = unit
    third = 0.37 ** (1 / (30 * n))  # for a large n, float64 can tell it from 1 and float32 cannot
    fall = js.Cosine(0.1, 90 * n, 0.001)
    jump = ((0, 1.0), (5 * n, 0.7), (5 * n, 0.2), (9 * n, 0.1))
    free = ((0, 0.1), (23 * n, 1.0), (40 * n, 0.5), (100 * n, 0.0))
    return [
        Example(js.Constant(0.3), "falls"),
        Example(js.Cosine(0.3, 100 * n), "falls", 100 * n),
        Example(js.Cosine(0.3, 100 * n, 0.01), "falls", 100 * n),
        Example(js.Cosine(0.3, 0, 0.01), "falls", 0),
        Example(js.Cosine(0.3, 100 * n, 0.01, exponent=1.7, k_decay=2.5), "falls", 100 * n),
        Example(js.CosineRestarts(0.3, 10 * n), "cycles"),
        Example(js.CosineRestarts(0.3, 3 * n, 2, 0.001), "cycles"),
        Example(js.CosineRestarts(0.3, 4 * n, 1.5), "cycles"),
        Example(js.CosineRestarts(0.3, 20 * n, 1, 0.04, 0.5, "amplitude", 5), "turns", 100 * n),
        Example(js.CosineRestarts(0.3, 20 * n, 1, 0.1, 0.5, "peak", k_decay=1.5), "cycles"),
        Example(js.CosineRestarts(0.3, 6 * n, 2, 0.04, 0.5, "bounds", 3), "turns", 42 * n),
        Example(js.Cyclic(0.1, 0.6, 7 * n), "cycles"),
        Example(js.Cyclic(0.1, 0.6, 7 * n, 4 * n, "triangular2"), "cycles"),
        Example(js.Cyclic(0.1, 0.6, 0, 4 * n), "cycles"),
        Example(js.Cyclic(0.1, 0.6, 7 * n, 0, "exp_range", third), "cycles"),
        Example(js.Cyclic(0.1, 0.6, 7 * n, None, "exp_range", third, "bounds"), "cycles"),
        Example(js.Cyclic(0.1, 0.0, 7 * n, curve="cosine"), "cycles"),
        Example(js.Cyclic(0.1, 0.6, 7 * n).momentum(), "cycles"),
        Example(js.Exponential(0.3, third), "falls", endless=True),
        Example(js.Exponential(0.3, 1.0 / third), "rises", endless=True),
        Example(js.Exponential(0.3, 0.0), "falls", 1),
        Example(js.Exponential(0.3, third, end=0.05), "falls", 60 * n),
        Example(js.Exponential(0.3, 1.0 / third, 0.9), "rises", 40 * n),
        Example(js.Function(halving), "falls", endless=True),
        Example(js.Interpolate(free), "turns", 100 * n),
        Example(js.Interpolate(free, "cosine"), "turns", 100 * n),
        Example(js.Interpolate(free, "cubic"), "turns", 100 * n),
        Example(js.Interpolate(((5 * n, 0.5), (9.7 * n, 0.2)), "cubic"), "falls", 10 * n),
        Example(js.Interpolate(jump), "falls", 9 * n),
        Example(js.InverseSqrt(0.3, 10 * n), "falls", endless=True),
        Example(js.InverseSqrt(0.3, 10 * n, "held"), "falls", endless=True),
        Example(js.InverseTime(0.3, 10 * n, 0.75), "falls", endless=True),
        Example(js.InverseTime(0.3, 9 * n, every=7 * n), "falls", endless=True),
        Example(js.Linear(0.3, 0.0, 77 * n), "falls", 77 * n),
        Example(js.Linear(0.001, 0.3, 77 * n), "rises", 77 * n),
        Example(js.Linear(0.001, 0.3, 0), "rises", 0),
        Example(js.MultiStep(0.3, (30 * n, 60 * n, 60 * n), 0.1), "falls", 60 * n),
        Example(js.MultiStep(0.3, (), 0.1), "falls", 0),
        Example(js.MultiStep(0.3, (30 * n, 60 * n, 72 * n), (0.5, 0.1, 3.0)), "turns", 72 * n),
        Example(js.OneCycle(0.3, 100 * n), "turns", 100 * n),
        Example(js.OneCycle(0.3, 97 * n, 0.41, anneal="linear", three_phase=True), "turns", 97 * n),
        Example(js.OneCycle(0.3, 100 * n, rise=0.0), "falls", 100 * n),
        Example(js.OneCycle(0.3, 100 * n, rise=1.0, anneal="linear"), "turns", 100 * n),
        Example(js.OneCycleMomentum(100 * n), "turns", 100 * n),
        Example(js.OneCycle(0.3, 97 * n, 0.41, three_phase=True).momentum(), "turns", 97 * n),
        Example(js.Polynomial(0.3, 0.0, 100 * n, 2.0), "falls", 100 * n),
        Example(js.Polynomial(0.001, 0.3, 100 * n, 0.5), "rises", 100 * n),
        Example(js.Polynomial(0.3, 0.02, 30 * n, 0.9, cycle=True), "cycles"),
        Example(js.Polynomial(0.3, 0.02, 100 * n, 0.5, k_decay=2.0), "falls", 100 * n),
        Example(js.Power(0.02, 2.0, -0.51), "falls", endless=True),
        Example(js.Product((fall, js.Exponential(1.0, third))), "falls", endless=True),
        Example(js.AtLeast(fall, 0.03), "falls", 90 * n),
        Example(js.Sum((fall, js.Cyclic(0.0, 0.1, 7 * n))), "cycles"),
        Example(js.Tanh(0.3, 100 * n), "falls", 100 * n),
        Example(js.Tanh(0.3, 90 * n, 0.01, -2.5, 1.0), "falls", 90 * n),
        Example(js.Rex(0.3, 100 * n), "falls", 100 * n),
        Example(js.Rex(0.3, 100 * n, 0.01, alpha=0.9), "falls", 100 * n),
        Example(js.SWAConstant(0.3, 0.05, 80 * n), "falls", 72 * n),
        Example(js.SWAConstant(0.3, 0.05, 0), "falls", 0),
        Example(js.SWACyclic(0.3, 0.05, 20 * n, 1 * n), "cycles"),
        Example(js.Sequence((js.Linear(0.0, 0.3, 9 * n), fall), (9 * n,)), "turns", 99 * n),
        Example(js.Sequence((js.Constant(0.5), halving), (10 * n,)), "turns", endless=True),
        Example(js.SmithOneCycle(0.03, 0.3, 45 * n), "turns", 90 * n),
        Example(js.Step(0.3, 30 * n, 0.2), "falls", endless=True),
        Example(js.Step(0.3, 2.5 * n, 0.9), "falls", endless=True),
        Example(js.Stretch(fall, 2), "falls", 180 * n),
        *(
            Example(js.WSD(0.3, 100 * n, 20 * n, 5 * n, 0.003, 0.01, shape), "turns", 100 * n)
            for shape in ("linear", "1-sqrt", "cosine", "exponential", "1-square")
        ),
        Example(js.WSD(0.3, 100 * n, 0), "falls", 100 * n),
        Example(js.Warmup(fall, 5 * n), "turns", 90 * n),
        Example(js.Warmup(fall, 0, 0.7), "falls", 90 * n),
        Example(js.Warmup(fall, 9 * n, 0.01, "cosine", 1.5), "turns", 90 * n),
        Example(js.Warmup(halving, 5 * n, 0.1), "turns", endless=True),
    ]


def named(unit):
    return [
        pytest.param(example, id=f"{i}-{type(example.schedule).__name__}")
        for i, example in enumerate(examples(unit))
    ]


every_example = pytest.mark.parametrize("example", named(SHORT))
# One example of each class and static fields: the compiled program does not depend on the numbers.
every_form = pytest.mark.parametrize(
    "example",
    {jax.tree.structure(param.values[0].schedule): param for param in named(SHORT)}.values(),
)


def evaluate(schedule, times, dtype):
    """The values in float64; padded to one length, so that each operation compiles once."""
    padded = jnp.asarray(np.resize(times, LENGTH), dtype)
    return np.asarray(schedule(padded), np.float64)[: len(times)]


def as_arrays(schedule):
    """The same schedule with float32 arrays for numbers."""
    return jax.tree.map(lambda number: jnp.asarray(number, jnp.float32), schedule)


def test_the_tables_are_complete():
    classes = set(find_classes())
    assert classes == set(FORMULAS)
    assert classes == {type(example.schedule) for example in examples(SHORT)}
    for cls in classes:
        assert getattr(js, cls.__name__) is cls, f"export {cls.__name__} from jaxsched"
        assert getattr(js.schedules, cls.__name__) is cls


@every_example
def test_a_frozen_value_that_prints_as_its_code(example):
    schedule = example.schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.value = 1.0
    leaves, structure = jax.tree.flatten(schedule)
    assert jax.tree.unflatten(structure, leaves) == schedule
    assert hash(schedule) == hash(jax.tree.unflatten(structure, leaves))
    if "function" not in repr(schedule):
        assert eval(repr(schedule), {name: getattr(js, name) for name in js.__all__}) == schedule


@pytest.mark.parametrize(
    ("example", "unit"),
    [
        pytest.param(*param.values, unit, id=f"{param.id}-{unit}")
        for unit in (SHORT, LONG)
        for param in named(unit)
    ],
)
def test_float32_agrees_with_float64(example, unit):
    # Whole times, because values change at these; dense at the start and the end.
    steps = np.r_[0:12, 12 * unit : 130 * unit : max(unit // 2, 1)][:250]
    edges = [time * unit + d for time in (7, 9, 23, 30, 60, 72, 77, 90, 100) for d in (-1, 0, 1)]
    times = np.unique(np.r_[steps, edges])
    expected = np.array([formula(example.schedule, int(t)) for t in times])
    ours = evaluate(example.schedule, times, jnp.int32)
    np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=1e-9)


@every_example
def test_defined_and_finite_for_every_time(example):
    whole = [INT32.min, INT32.min + 1, -7, -1, 0, 1, 99, 100, 2**24 + 1, INT32.max - 1, INT32.max]
    fractions = [-np.inf, -1e30, -0.5, 0.0, 1e-30, 0.5, 99.999, 100.0, 1e9, 1e30, np.inf]
    for times, dtype in ((whole, jnp.int32), (fractions, jnp.float32)):
        if isinstance(example.schedule, js.Function) or "function" in repr(example.schedule):
            times = [time for time in times if time >= 0]  # a lambda may not be defined before 0
        values = evaluate(example.schedule, times, dtype)
        assert np.all(np.isfinite(values)), dict(zip(times, values.tolist(), strict=True))
        at_zero = values[times.index(0)]
        assert at_zero == pytest.approx(float(example.schedule(0)), rel=1e-6)
        before = [v for t, v in zip(times, values.tolist(), strict=True) if t <= 0]
        assert before == [at_zero] * len(before)


@pytest.mark.slow
@every_example
def test_any_kind_of_number_is_a_time(example):
    expected = float(example.schedule(jnp.int32(3)))
    for three in (3, 3.0, np.int64(3), np.uint8(3), jnp.uint32(3), jnp.int8(3), jnp.bfloat16(3)):
        value = example.schedule(three)
        assert value.shape == () and value.dtype == jnp.float32
        assert float(value) == pytest.approx(expected, rel=1e-6)
    grid = example.schedule(jnp.full((2, LENGTH // 2), 3))
    assert grid.shape == (2, LENGTH // 2) and grid.dtype == jnp.float32
    if not isinstance(example.schedule, js.Function):
        assert np.isfinite(float(example.schedule(10**12)))


@every_example
def test_monotone_where_the_family_is(example):
    values = evaluate(example.schedule, np.linspace(0, 130, LENGTH), jnp.float32)
    rounding = 3e-7 * np.abs(values).max()
    if example.course == "falls":
        assert np.diff(values).max() <= rounding
    if example.course == "rises":
        assert np.diff(values).min() >= -rounding


@every_example
def test_keeps_its_last_value_after_its_end(example):
    if example.course == "cycles":
        return
    after = np.r_[example.end + np.array([0, 1, 2, 50, 1000]), 2**30, INT32.max - 1, INT32.max]
    values = evaluate(example.schedule, after, jnp.int32)
    if not example.endless:
        assert np.all(values == values[0])
    elif example.course == "falls":
        assert np.all(np.diff(values) <= 0)


@pytest.mark.slow
@every_form
def test_one_program_for_all_numbers(example):
    """Under jit, vmap and strict promotion, with one compilation whatever the numbers are."""
    compilations = []

    @jax.jit
    def evaluate_all(schedules, times):
        compilations.append(schedules)
        return jax.vmap(lambda schedule: schedule(times))(schedules)

    times = jnp.asarray([-1, 0, 3, 5, 50, 120])
    once = as_arrays(example.schedule)
    if not jax.tree.leaves(once):
        return
    with jax.numpy_dtype_promotion("strict"):
        for factor in (1.0, 0.75):
            pair = jax.tree.map(lambda number, f=factor: jnp.stack([number, number * f]), once)
            values = evaluate_all(pair, times)
            for row, scale in zip(values, (1.0, factor), strict=True):
                alone = jax.tree.map(lambda number, f=scale: float(number * f), once)
                expected = evaluate(alone, times, jnp.int32)
                np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-8)
    assert len(compilations) == 1


def perturbed(schedule, leaf, amount):
    numbers, structure = jax.tree.flatten(schedule)
    numbers[leaf] = numbers[leaf] + amount
    return jax.tree.unflatten(structure, numbers)


@pytest.mark.slow
@every_example
def test_gradients_through_the_numbers(example):
    schedule = example.schedule
    numbers = jax.tree.leaves(schedule)
    if not numbers:
        return
    # At the smooth times nothing jumps if a number changes a little; at the edges something does.
    smooth = np.array([3.3, 41.1])
    edges = np.array([-1.0, 0.0, 5.0, 7.0, 9.0, 30.0, 60.0, 90.0, 100.0, 1000.0])
    times = jnp.asarray(np.r_[smooth, edges], jnp.float32)
    slopes = jax.jit(jax.jacobian(lambda s: s(times)))(as_arrays(schedule))
    slopes = np.stack([np.asarray(slope) for slope in jax.tree.leaves(slopes)])
    assert np.all(np.isfinite(slopes))
    for leaf, number in enumerate(numbers):
        step = 1e-6 * max(abs(number), 1e-3)
        if not number:
            continue  # a length or rate of zero has a slope on one side only
        up, down = (perturbed(schedule, leaf, sign * step) for sign in (1, -1))
        expected = [(formula(up, t) - formula(down, t)) / (2 * step) for t in smooth]
        scale = max(np.abs(expected).max(), 1e-6)
        np.testing.assert_allclose(slopes[leaf, :2], expected, rtol=2e-3, atol=2e-3 * scale)


IMPOSSIBLE = [
    (lambda: js.Cosine(0.1, -1), "duration of at least 0, got duration=-1"),
    (lambda: js.Cosine(0.1, 10, 0.2), "would rise; swap them"),
    (lambda: js.CosineRestarts(0.1, 0), "first=0"),
    (lambda: js.CosineRestarts(0.1, 10, 0.5), "shrink would never end"),
    (lambda: js.CosineRestarts(0.1, 10, jnp.float32(2)), "Python number"),
    (lambda: js.CosineRestarts(0.1, 10, 1, 0.2), "would rise"),
    (lambda: js.CosineRestarts(0.1, 10, decay=1.1), "grow without bound"),
    (lambda: js.CosineRestarts(0.1, 10, cycles=0), "at least 1, or None for no end, got 0"),
    (lambda: js.CosineRestarts(0.1, 10, cycles=2.5), "at least 1, or None for no end, got 2.5"),
    (lambda: js.CosineRestarts(0.1, 10, decay_of="floor"), "one of 'amplitude', 'peak', 'bounds'"),
    (lambda: js.Cosine(0.1, 10, exponent=0), "Cosine needs exponent above 0, got exponent=0"),
    (lambda: js.Cosine(0.1, 10, k_decay=-1), "k_decay above 0, got k_decay=-1"),
    (lambda: js.Cyclic(0.1, 0.2, -1), "up=-1"),
    (lambda: js.Cyclic(0.1, 0.2, 0), "not both 0"),
    (lambda: js.Cyclic(0.1, 0.2, 3, mode="exp_range", gamma=1.1), "gamma=1.1"),
    (lambda: js.Exponential(0.1, -0.5), "factor of at least 0, got -0.5"),
    (lambda: js.Exponential(0.1, 0.9, end=0.2), "away from end=0.2"),
    (lambda: js.Exponential(0.1, 1.1, end=0.05), "away from end=0.05"),
    (lambda: js.Exponential(0.1, 0.9, end="3 epochs"), "Exponential.end is a value, not a time"),
    (lambda: js.Function(0.1), "function of time, got 0.1"),
    (lambda: js.AtLeast(0.1, 0.01), r"pass Constant\(0.1\)"),
    (lambda: js.InverseTime(0.1, 0), "timescale=0"),
    (lambda: js.InverseTime(0.1, 10, power=0), "power above 0, got power=0"),
    (lambda: js.InverseTime(0.1, 10, every=-1), "every above 0, got every=-1"),
    (lambda: js.Sum(()), "at least one part"),
    (lambda: js.Tanh(0.1, 10, lower=3, upper=-6), "swap them"),
    (lambda: js.Tanh(0.1, 10, end=0.2), "would rise"),
    (lambda: js.Interpolate(((0, 1.0),)), "at least two"),
    (lambda: js.Interpolate(((5, 1.0), (0, 0.5))), "sort them"),
    (lambda: js.Interpolate(np.array([[5, 1.0], [0, 0.5]])), "sort them"),
    (lambda: js.Interpolate(((0, 1.0), (5, 0.5), (5, 0.2)), "cubic"), "strictly ascending"),
    (lambda: js.InverseSqrt(0.1, 0), "timescale=0"),
    (lambda: js.Linear(0.1, 0.0, -1), "duration=-1"),
    (lambda: js.MultiStep(0.1, (60, 30)), "got 30 after 60; sort them"),
    (lambda: js.MultiStep(0.1, (30,), -1.0), "factor of at least 0"),
    (lambda: js.MultiStep(0.1, (30, 60), (0.1, -1.0)), "factor of at least 0"),
    (lambda: js.MultiStep(0.1, (30, 60), (0.1,)), "one for each of its 2 milestones, got 1"),
    (lambda: js.OneCycle(0.1, -1), "duration=-1"),
    (lambda: js.OneCycle(0.1, 0), "duration above 0, got duration=0"),
    (lambda: js.OneCycleMomentum(0), "duration above 0, got duration=0"),
    (lambda: js.OneCycle(0.1, 10, rise=1.5), "rise=1.5"),
    (lambda: js.OneCycle(0.1, 10, rise=0.6, three_phase=True), "to turn twice"),
    (lambda: js.OneCycleMomentum(10, high=0.8, low=0.9), "swap them"),
    (lambda: js.Polynomial(0.1, 0.0, 10, 0), "power=0"),
    (lambda: js.Polynomial(0.1, 0.0, -1, 1), "duration=-1"),
    (lambda: js.Polynomial(0.1, 0.0, 0, 1, cycle=True), "duration to start again above 0"),
    (lambda: js.Power(0.1, 1.0, 0.5), "negate it"),
    (lambda: js.Power(0.1, -1.0), "amplitude=-1.0"),
    (lambda: js.Product(()), "at least one part"),
    (lambda: js.Product((0.5,)), r"pass Constant\(0.5\)"),
    (lambda: js.Rex(0.1, 10, alpha=1.0), "alpha=1.0"),
    (lambda: js.Rex(0.1, -1), "duration=-1"),
    (lambda: js.Rex(0.1, 10, 0.2), "would rise"),
    (lambda: js.SWAConstant(0.1, 0.05, -1), "duration=-1"),
    (lambda: js.SWACyclic(0.1, 0.05, 0), "cycle=0"),
    (lambda: js.SWACyclic(0.05, 0.1, 5), "swap them"),
    (lambda: js.Sequence((js.Constant(1.0),), (3,)), "0 for these 1 parts, got 1"),
    (lambda: js.Sequence((), ()), "Sequence needs"),
    (lambda: js.Sequence((halving, halving, halving), (9, 3)), "got 3 after 9"),
    (lambda: js.Sequence((halving, 0.1), (9,)), r"pass Constant\(0.1\)"),
    (lambda: js.SmithOneCycle(0.1, 1.0, 0), "half above 0, got half=0"),
    (lambda: js.SmithOneCycle(0.1, 1.0, 10, 0.5), "divisor=0.5"),
    (lambda: js.Step(0.1, 0, 0.5), "every=0"),
    (lambda: js.Step(0.1, 30, -0.5), "factor of at least 0"),
    (lambda: js.Stretch(halving, 0), "factor=0"),
    (lambda: js.WSD(0.1, 100, 60, 60), "shorten one"),
    (lambda: js.WSD(0.1, 100, -1), "duration=-1"),
    (lambda: js.WSD(0.1, 100, 10, end=0.2), "would rise"),
    (lambda: js.WSD(0.1, 100, 10, shape="exponential"), "never reaches 0"),
    (lambda: js.Warmup(0.1, 5), "needs a schedule or a function of time, got 0.1"),
    (lambda: js.Warmup(halving, -5), "duration=-5"),
    (lambda: js.Warmup(halving, 5, power=0), "power above 0, got power=0"),
    (lambda: js.Warmup(halving, 5, curve="sine"), "curve to be one of 'linear', 'cosine'"),
]


@pytest.mark.parametrize(("build", "message"), IMPOSSIBLE)
def test_impossible_arguments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_static_field_is_part_of_the_structure():
    linear, cosine = js.OneCycle(0.1, 10, anneal="linear"), js.OneCycle(0.1, 10)
    assert jax.tree.structure(linear) != jax.tree.structure(cosine)
    axes = jax.tree.map(lambda _: 0, js.Step(0.1, 30, 0.5))  # zeros that would be refused
    assert functools.reduce(lambda a, b: a + b, jax.tree.leaves(axes)) == 0


# What the first versions of these classes had, which recorded digests are made of.
AT_FIRST = {
    js.Cosine(0.1, 90): "peak duration end",
    js.CosineRestarts(0.1, 9): "peak first multiplier end",
    js.Polynomial(0.1, 0.0, 90, 2.0): "start end duration power",
    js.Exponential(0.1, 0.9): "value rate",
    js.Warmup(js.Constant(0.1), 9): "schedule duration start",
    js.MultiStep(0.1, (3,)): "value milestones factor",
}


@pytest.mark.parametrize("schedule", AT_FIRST, ids=lambda schedule: type(schedule).__name__)
def test_later_fields_leave_digests_as_they_were(schedule):
    described = describe(schedule)
    assert list(described) == ["type", *AT_FIRST[schedule].split()]
    later = {f.name for f in dataclasses.fields(schedule)} - set(described)
    assert not [name for name in later if f"{name}=" in repr(schedule)]
    if later:
        changed = dataclasses.replace(schedule, **{max(later): SET.get(max(later), 2.0)})
        assert describe(changed)[max(later)] and f"{max(later)}=" in repr(changed)


SET = {"end": 0.05}
