"""What does a schedule cost inside a jitted step, against `optax.cosine_decay_schedule`?

    python experiments/performance/schedule_cost.py

The step is SGD with momentum on a small network, where the cost of a schedule shows most. Each
schedule's step is compiled ahead of time. Then all of them take turns for many rounds, so that
other work of the machine falls on all alike. The script prints the median over the rounds of the
ratio to the step with Optax's cosine in the same round. A step with a plain number is the floor.

And outside of jit, where people log `schedule(step)` at each step: the microseconds of a call with
a Python number, of Optax's schedule and of ours of the same shape, in turns.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxsched as js

ROUNDS = 60
UPDATES = 200
DURATION = 100_000
BASELINE = "optax.cosine_decay_schedule"
SCHEDULES: dict[str, Any] = {
    BASELINE: optax.cosine_decay_schedule(0.1, DURATION),
    "a plain number": 0.1,
    "AtLeast": js.AtLeast(js.Cosine(0.1, DURATION), 0.01),
    "Constant": js.Constant(0.1),
    "Cosine": js.Cosine(0.1, DURATION),
    "Cosine, powers": js.Cosine(0.1, DURATION, exponent=2.0, k_decay=1.5),
    "CosineRestarts": js.CosineRestarts(0.1, 1000, 2),
    "CosineRestarts, decay, cycles": js.CosineRestarts(0.1, 1000, 1, 0.01, 0.5, cycles=4),
    "Cyclic": js.Cyclic(0.01, 0.1, 1000, mode="exp_range", gamma=0.9999),
    "Exponential": js.Exponential(0.1, 0.9999),
    "Exponential, end": js.Exponential(0.1, 0.9999, end=0.01),
    "Interpolate, cubic": js.Interpolate(((0, 0.01), (300, 0.1), (900, 0.05), (9e4, 0.0)), "cubic"),
    "Function": lambda t: 0.1 / (1 + 0.001 * t),
    "InverseSqrt": js.InverseSqrt(0.1, 1000),
    "InverseTime": js.InverseTime(0.1, 1000, 0.75),
    "InverseTime, steps": js.InverseTime(0.1, 1000, every=1000),
    "Linear": js.Linear(0.1, 0.0, DURATION),
    "MultiStep": js.MultiStep(0.1, (30_000, 60_000, 80_000)),
    "MultiStep, factors": js.MultiStep(0.1, (30_000, 60_000, 80_000), (0.5, 0.2, 0.1)),
    "OneCycle": js.OneCycle(0.1, DURATION),
    "OneCycleMomentum": js.OneCycleMomentum(DURATION),
    "Polynomial": js.Polynomial(0.1, 0.0, DURATION, 2.0),
    "Polynomial, cycle": js.Polynomial(0.1, 0.0, 1000, 2.0, cycle=True),
    "Power": js.Power(0.1, 4.0),
    "Product": js.Product((js.Cosine(0.1, DURATION), js.Exponential(1.0, 0.9999))),
    "Rex": js.Rex(0.1, DURATION),
    "SWAConstant": js.SWAConstant(0.1, 0.05, DURATION),
    "SWACyclic": js.SWACyclic(0.1, 0.05, 500),
    "Sequence": js.Sequence((js.Linear(0.0, 0.1, 500), js.Cosine(0.1, DURATION)), (500,)),
    "SmithOneCycle": js.SmithOneCycle(0.01, 0.1, 45_000),
    "Step": js.Step(0.1, 30_000, 0.1),
    "Stretch": js.Stretch(js.Cosine(0.1, 90), 1000),
    "Sum": js.Sum((js.Cosine(0.1, DURATION), js.Cyclic(0.0, 0.01, 1000))),
    "Tanh": js.Tanh(0.1, DURATION),
    "WSD": js.WSD(0.1, DURATION, 20_000, 500),
    "Warmup": js.Warmup(js.Cosine(0.1, DURATION), 500),
    "Warmup, cosine, power": js.Warmup(js.Cosine(0.1, DURATION), 500, 0.0, "cosine", 2.0),
}


HOST_CALLS = 100
PAIRS: dict[str, tuple[Any, Any]] = {
    "cosine": (SCHEDULES[BASELINE], SCHEDULES["Cosine"]),
    "warm-up and cosine": (
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 500, DURATION),
        SCHEDULES["Warmup"],
    ),
    "1cycle": (optax.cosine_onecycle_schedule(DURATION, 0.1), SCHEDULES["OneCycle"]),
    "milestones": (
        optax.piecewise_constant_schedule(0.1, {30_000: 0.1, 60_000: 0.1, 80_000: 0.1}),
        SCHEDULES["MultiStep"],
    ),
    "sequence": (
        optax.join_schedules(
            [
                optax.linear_schedule(0.0, 0.1, 500),
                optax.cosine_decay_schedule(0.1, DURATION),
            ],
            [500],
        ),
        SCHEDULES["Sequence"],
    ),
}


def compiled_step(learning_rate: Any) -> tuple[Callable[..., Any], Any]:
    """Compiles an update; returns it and the state that it starts from."""
    optimizer = optax.sgd(learning_rate, momentum=0.9)
    keys = jax.random.split(jax.random.key(0), 4)
    widths = (64, 128, 128, 10)
    params = [
        jax.random.normal(key, (a, b)) / np.sqrt(a)
        for key, a, b in zip(keys, widths, widths[1:], strict=False)
    ]
    inputs = jax.random.normal(keys[3], (64, widths[0]))

    def loss(params):
        hidden = inputs
        for weight in params[:-1]:
            hidden = jnp.tanh(hidden @ weight)
        return jnp.mean((hidden @ params[-1]) ** 2)

    def step(state):
        params, opt_state = state
        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    state = (params, optimizer.init(params))
    return jax.jit(step).lower(state).compile(), state


def seconds(step: Callable[..., Any], state: Any) -> float:
    """Measures the seconds of `UPDATES` updates."""
    start = time.perf_counter()
    for _ in range(UPDATES):
        state = step(state)
    jax.block_until_ready(state)
    return time.perf_counter() - start


def microseconds_of_calls(schedule: Callable[[int], Any]) -> float:
    """Measures a call with a Python number, outside of jit."""
    start = time.perf_counter()
    for step in range(1, HOST_CALLS + 1):
        float(schedule(step))
    return 1e6 * (time.perf_counter() - start) / HOST_CALLS


def measure_calls() -> None:
    """Prints the medians over rounds of a call of each pair of schedules."""
    taken: dict[str, list[tuple[float, ...]]] = {name: [] for name in PAIRS}
    for _ in range(11):
        for name, pair in PAIRS.items():
            taken[name].append(tuple(map(microseconds_of_calls, pair)))
    print(f"\n{'a call outside of jit, µs':<30}{'optax':>14}{'jaxsched':>14}")
    for name, times in taken.items():
        theirs, ours = np.median(times[1:], axis=0)  # the first round compiles
        print(f"{name:<30}{theirs:>14.0f}{ours:>14.0f}")


def main() -> None:
    """Measures all schedules and prints a line for each."""
    steps = {name: compiled_step(schedule) for name, schedule in SCHEDULES.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    draw = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in draw.permutation(list(steps)):
            taken[name].append(seconds(*steps[name]))
    baseline = np.asarray(taken[BASELINE])
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, optax {optax.__version__}")
    print(f"{'schedule':<30}{'µs an update':>14}{'ratio':>9}{'quartiles':>18}")
    for name, times in taken.items():
        low, median, high = np.quantile(np.asarray(times) / baseline, (0.25, 0.5, 0.75))
        update = 1e6 * np.median(times) / UPDATES
        print(f"{name:<30}{update:>14.1f}{median:>9.3f}{low:>10.3f} to {high:.3f}")
    measure_calls()


if __name__ == "__main__":
    main()
