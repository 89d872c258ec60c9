"""Optax's own test files, run with our optimizers, transformations and schedules put in.

The installed Optax brings its tests. Each battery runs one of these files anew, after names at its
top were given other values: what it calls an optimizer, a wrapper or a schedule then is ours. The
bodies of the tests are Optax's.

Left out are the files about what we have nothing for (losses, projections, perturbations, tree
arithmetic, clipping, line search, single optimizers such as Muon), `combine_test`, which is
`_combining_test` once more, and `_reduce_on_plateau_test`, because Optax's rule decays one
observation earlier than torch's, which is ours.
"""

import ast
import functools
import inspect
import itertools
import os
import types
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import optax
import pytest
from optax import contrib

import jaxsched as js

# One update an epoch, so that schedules in epochs and in updates have the same clock.
PLAN = js.Plan((js.Phase(epochs=100_000, batch_size=10),), num_examples=10)
ALWAYS = js.every(1)


def sgd(learning_rate: optax.ScalarOrSchedule, momentum=None, nesterov=False):
    if momentum is None:
        return js.SGD(learning_rate).transformation(PLAN)
    if isinstance(momentum, float) and momentum == 0:
        momentum = js.Linear(0.0, 0.0, duration=1)  # 0 has no buffer, and Optax's tests want one
    return js.SGD(learning_rate, momentum, nesterov=nesterov).transformation(PLAN)


def adam(learning_rate: optax.ScalarOrSchedule, b1=0.9, b2=0.999):
    return js.Adam(learning_rate, b1, b2).transformation(PLAN)


def adamw(learning_rate: optax.ScalarOrSchedule, b1=0.9, b2=0.999, weight_decay=1e-4):
    return js.AdamW(learning_rate, b1, b2, weight_decay=weight_decay).transformation(PLAN)


def abel(optimizer, decay_factor=0.9):
    return optax.chain(optimizer, js.scale_by_abel(decay_factor, ALWAYS, floor=0.5))


def plateau(optimizer, factor=0.9):
    return optax.chain(optimizer, js.scale_by_plateau(ALWAYS, factor=factor, min_scale=0.5))


def ema(optimizer, decay=0.9):
    return optax.chain(optimizer, js.average_params(ALWAYS, decay=decay))


def swag(optimizer, rank=2):
    return optax.chain(optimizer, js.swag(ALWAYS, rank=rank))


def noise(optimizer, decay=0.9):
    estimate = js.estimate_noise(decay)
    # A trainer gives these.
    sizes = {"small_squared_norm": 2.0, "small_batch_size": 2, "batch_size": 8}
    update = functools.partial(estimate.update, **sizes)
    return optax.chain(optax.GradientTransformationExtraArgs(estimate.init, update), optimizer)


WRAPPERS = {"abel": abel, "ema": ema, "swag": swag, "noise": noise}


def with_wrapper(wrapper):
    """A factory of SGD in this wrapper."""
    return lambda learning_rate: wrapper(sgd(learning_rate, momentum=0.9))


OPTIMIZERS = types.SimpleNamespace(
    sgd=sgd,
    adam=adam,
    adamw=adamw,
    # The one name whose updates Optax's tests give the loss.
    polyak_sgd=with_wrapper(plateau),
    **{name: with_wrapper(wrapper) for name, wrapper in WRAPPERS.items()},
)
OPTIMIZERS_UNDER_TEST = [
    {"opt_name": name, "opt_kwargs": {"learning_rate": 1e-3, **kwargs}}
    for name, kwargs in [
        ("sgd", {"momentum": 0.9}),
        ("adamw", {"learning_rate": 0.1}),
        ("polyak_sgd", {}),
        *((name, {}) for name in WRAPPERS),
    ]
]


def in_contrib(name, kwargs, wrapper=None, wrapper_kwargs=None):
    """The arguments of a case of `_common_test`."""
    return {
        "opt_name": name,
        "opt_kwargs": kwargs,
        "wrapper_name": wrapper,
        "wrapper_kwargs": wrapper_kwargs,
    }


SGD_IN_CONTRIB = ("sgd", {"learning_rate": 1e-3, "momentum": 0.9})
IN_CONTRIB = (
    in_contrib("adam", {"learning_rate": 1e-2}),
    in_contrib("sgd", {"learning_rate": 0.1}, "mechanize", {"weight_decay": 0.0}),
    in_contrib("sgd", {"learning_rate": 1e-2}, "schedule_free", {"learning_rate": 1e-2}),
    in_contrib(*SGD_IN_CONTRIB, "reduce_on_plateau", {}),
    in_contrib(*SGD_IN_CONTRIB, "abel", {"decay_factor": 0.9}),
    in_contrib(*SGD_IN_CONTRIB, "ema", {"decay": 0.9}),
    in_contrib(*SGD_IN_CONTRIB, "swag", {"rank": 2}),
)
CONTRIB = types.SimpleNamespace(
    mechanize=contrib.mechanize,
    schedule_free=contrib.schedule_free,
    schedule_free_eval_params=contrib.schedule_free_eval_params,
    # Put at the end of the chain, and given the loss, by the tests.
    reduce_on_plateau=lambda: js.scale_by_plateau(ALWAYS, factor=0.9, min_scale=0.5),
    **WRAPPERS,
)


def piecewise_constant(init_value, boundaries_and_scales):
    """Optax's schedule of this name: every factor is in force from its boundary on."""
    factors = [js.MultiStep(1.0, (at,), factor) for at, factor in boundaries_and_scales.items()]
    return js.Product((js.Constant(init_value), *factors))


def polynomial(init_value, end_value, power, transition_steps, transition_begin=0):
    decay = js.Polynomial(init_value, end_value, transition_steps, power)
    return js.Sequence((js.Constant(init_value), decay), (transition_begin,))


def cosine(init_value, decay_steps, alpha=0.0, exponent=1):
    assert exponent == 1
    return js.Cosine(init_value, decay_steps, end=alpha * init_value)


def warmup_cosine(init_value, peak_value, warmup_steps, decay_steps, end_value=0.0):
    decay = js.Cosine(peak_value, decay_steps - warmup_steps, end=end_value)
    rise = js.Linear(init_value, peak_value, warmup_steps)
    return js.Sequence((rise, decay), (warmup_steps,))


def sgdr(cosine_kwargs):
    parts = tuple(warmup_cosine(**kwargs) for kwargs in cosine_kwargs)
    ends = itertools.accumulate(kwargs["decay_steps"] for kwargs in cosine_kwargs)
    return js.Sequence(parts, tuple(ends)[:-1])


def exponential(init_value, transition_steps, decay_rate, transition_begin=0, staircase=False):
    if staircase:
        decay = js.Step(init_value, every=transition_steps, factor=decay_rate)
    else:
        decay = js.Exponential(init_value, decay_rate ** (1 / transition_steps))
    return js.Sequence((js.Constant(init_value), decay), (transition_begin,))


def piecewise_linear(interpolate_type, init_value, boundaries_and_scales=None):
    assert interpolate_type == "linear"
    points, value = [(0, init_value)], init_value
    for time, scale in sorted((boundaries_and_scales or {}).items()):
        value *= scale
        points.append((time, value))
    return js.Interpolate(tuple(points))


def cosine_one_cycle(transition_steps, peak_value, pct_start, div_factor, final_div_factor):
    return js.OneCycle(peak_value, transition_steps, pct_start, div_factor, final_div_factor)


def linear_one_cycle(
    transition_steps, peak_value, pct_start, pct_final, div_factor, final_div_factor
):
    first = peak_value / div_factor
    heights = {0: first, pct_start: peak_value, pct_final: first, 1: first / final_div_factor}
    return js.Interpolate(tuple((share * transition_steps, y) for share, y in heights.items()))


SCHEDULES = types.SimpleNamespace(
    constant_schedule=js.Constant,
    polynomial_schedule=polynomial,
    piecewise_constant_schedule=piecewise_constant,
    exponential_decay=exponential,
    cosine_decay_schedule=cosine,
    warmup_cosine_decay_schedule=warmup_cosine,
    sgdr_schedule=sgdr,
    piecewise_interpolate_schedule=piecewise_linear,
    cosine_onecycle_schedule=cosine_one_cycle,
    linear_onecycle_schedule=linear_one_cycle,
    linear_schedule=js.Linear,
    inject_hyperparams=optax.inject_hyperparams,
    WrappedSchedule=optax.schedules.WrappedSchedule,
)


class Jax:
    """JAX, but a mesh has as many devices as these tests."""

    def __getattr__(self, name):
        return getattr(jax, name)

    @staticmethod
    def make_mesh(axis_shapes, axis_names, **kwargs):
        return jax.make_mesh((len(jax.devices()),), axis_names, **kwargs)


def parabola(dtype):
    """`_setup_parabola` of `alias_test`: first parameters, their best values, the objective."""
    target = jnp.array([1.0, -1.0, 1.0], dtype)
    return jnp.array([-1.0, 10.0, 1.0], dtype), target, lambda w: jnp.sum((w - target) ** 2)


@dataclass(frozen=True)
class Battery:
    """A test file of Optax and what is put into it.

    Attributes:
        classes: the names of its test cases that run.
        put_in: the values of names at the top of the file.
        slow: the tests that take long, by the beginning of their names.
        left_out: tests that cannot be ours, by the beginning of their names, and why.
    """

    classes: tuple[str, ...]
    put_in: Mapping[str, Any]
    slow: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


ALL = ("test_",)
NO_EXPONENT = "our cosine has no exponent"
NEEDS_DURATION = "ours refuses durations below 0, and is over at once where Optax's never begins"
BATTERIES = {
    "_src/alias_test.py": Battery(
        ("AliasTest",),
        {"alias": OPTIMIZERS, "_OPTIMIZERS_UNDER_TEST": OPTIMIZERS_UNDER_TEST},
        slow=(
            "test_optimization",
            "test_state_shape_dtype_shard_stability",
            "test_gradient_accumulation",
            "test_optimizers_can_be_wrapped",
        ),
        left_out={"test_explicit_dtype": "our moments have the dtype of the parameters"},
    ),
    "_src/float64_test.py": Battery(
        ("Float64Test",),
        {
            "ALL_MODULES": [
                (case["opt_name"], getattr(OPTIMIZERS, case["opt_name"]), case["opt_kwargs"])
                for case in OPTIMIZERS_UNDER_TEST
                if case["opt_name"] != "polyak_sgd"  # needs the loss
            ]
        },
        slow=ALL,
    ),
    "_src/lookahead_test.py": Battery(
        ("LookaheadTest",),
        {"_test_optimizer": lambda step_size: ema(sgd(-step_size, 0.0))},
        slow=ALL,
    ),
    "_src/sharding_test.py": Battery(
        ("ShardingTest",),
        {
            "jax": Jax(),
            "OPTIMIZERS": {
                "sgd": sgd(1.0, momentum=0.9),
                "adam": adam(1.0),
                "adamw": adamw(1.0),
                **{name: wrapper(sgd(1.0)) for name, wrapper in WRAPPERS.items()},
            },
        },
        slow=ALL,
        left_out={"test_microbatch": "is about no optimizer"},
    ),
    "contrib/_common_test.py": Battery(
        ("ContribTest",),
        {
            "alias": OPTIMIZERS,
            "contrib": CONTRIB,
            "_schedule": SCHEDULES,
            "_MAIN_OPTIMIZERS_UNDER_TEST": IN_CONTRIB,
            "_ALL_OPTIMIZERS_UNDER_TEST": IN_CONTRIB,
        },
        slow=ALL,
    ),
    "contrib/_complex_valued_test.py": Battery(
        ("ComplexValuedTest",),
        {
            "transform": types.SimpleNamespace(
                scale_by_adam=lambda: adam(1.0), scale_by_param_block_norm=lambda: abel(sgd(0.1))
            )
        },
    ),
    "contrib/_sam_test.py": Battery(("SAMTest",), {"alias": OPTIMIZERS}, slow=ALL),
    "contrib/_schedule_free_test.py": Battery(
        ("ScheduleFreeTest",),
        {"alias": OPTIMIZERS},
        slow=ALL,
        left_out={
            "test_schedule_free_adamw": "1 - b2 is float32 in ours, as in Optax's own Adam under "
            "inject_hyperparams; the test allows a difference of one part in a million"
        },
    ),
    "schedules/_inject_test.py": Battery(
        ("InjectHyperparamsTest", "StatefulTest"), {"schedules": SCHEDULES}
    ),
    "schedules/_join_test.py": Battery(
        ("JoinTest",),
        {
            "_schedule": SCHEDULES,
            "_join": types.SimpleNamespace(
                join_schedules=lambda schedules, boundaries: js.Sequence(
                    tuple(schedules), tuple(boundaries)
                )
            ),
        },
    ),
    "schedules/_schedule_test.py": Battery(
        (
            "ConstantTest",
            "PolynomialTest",
            "PiecewiseConstantTest",
            "ExponentialTest",
            "CosineDecayTest",
            "WarmupCosineDecayTest",
            "SGDRTest",
            "PiecewiseInterpolateTest",
            "OneCycleTest",
            "ScheduleAsLearningRateTest",
        ),
        {
            "_schedule": SCHEDULES,
            "alias": OPTIMIZERS,
            "alias_test": types.SimpleNamespace(
                _OPTIMIZERS_UNDER_TEST=OPTIMIZERS_UNDER_TEST, _setup_parabola=parabola
            ),
        },
        left_out={
            "test_zero_steps_schedule": NEEDS_DURATION,
            "test_nonvalid": NEEDS_DURATION,
            "test_nonpositive_transition_steps": NEEDS_DURATION,
            "test_raises_when_decay_equals_warmup": "ours is over after the warm-up then",
            "test_end_value_with_staircase": "our exponential decay has no bound",
            "test_with_exponent": NO_EXPONENT,
            "test_zero_peak_value": NO_EXPONENT,
            "test_monotonicity_and_exponent_ordering": NO_EXPONENT,
            "test_cos_piecewise": "ours joins points by straight lines or splines",
            "test_empty_dict": "ours needs two points",
            "test_no_dict": "ours needs two points",
            "test_invalid": "is about the arguments' names",
        },
    ),
    "transforms/_accumulation_test.py": Battery(
        ("AccumulationTest",),
        {
            "alias": OPTIMIZERS,
            "OPTIMIZERS_TO_TEST": [
                {"opt_name": "adam", "opt_kwargs": {"learning_rate": 0.1}},
                {"opt_name": "swag", "opt_kwargs": {"learning_rate": 0.1}},
            ],
        },
        slow=ALL,
    ),
    "transforms/_combining_test.py": Battery(
        ("CombiningTest", "ExtraArgsTest", "PartitionTest", "NamedChainTest"), {"alias": OPTIMIZERS}
    ),
    "transforms/_conditionality_test.py": Battery(
        ("ConditionalityTest",), {"alias": OPTIMIZERS}, slow=ALL
    ),
    "transforms/_freezing_test.py": Battery(
        ("SelectiveTransformTest",),
        {"alias": OPTIMIZERS},
        left_out={"test_selective_bad_structure": "expects words that newer JAX does not use"},
    ),
    "transforms/_masking_test.py": Battery(
        ("MaskedTest",),
        {"alias": OPTIMIZERS},
        left_out={"test_masked_state_structure": "reads the state of Optax's SGD by position"},
    ),
}


def load(file: str, battery: Battery) -> dict[str, type]:
    """Runs a test file with the battery's values put in; returns its test cases by name."""
    path = Path(optax.__file__).parent / file
    if not path.exists():
        raise LookupError(f"this Optax has no {file}")
    body = ast.parse(path.read_text()).body
    first = next((i for i, node in enumerate(body) if is_test_case(node)), len(body))
    module = types.ModuleType(f"ours_in_{path.stem}")
    # One of the files sets XLA_FLAGS, and some build optimizers that warn and are then replaced.
    with mock.patch.dict(os.environ), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(body[:first], path, module)
    require_names(file, module, battery.put_in)
    # Here, because the decorators of the test cases read the names at the top.
    vars(module).update(battery.put_in)
    run(body[first:], path, module)
    require_names(file, module, battery.classes)
    return {name: getattr(module, name) for name in battery.classes}


def require_names(file: str, module: types.ModuleType, names: Iterable[str]) -> None:
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise LookupError(f"{file} of this Optax has no {missing}")


def is_test_case(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any("TestCase" in ast.unparse(b) for b in node.bases)


def run(body: list[ast.stmt], path: Path, module: types.ModuleType) -> None:
    exec(compile(ast.Module(body, type_ignores=[]), path, "exec"), vars(module))


NUM_CASES: dict[str, int] = {}  # the tests of each battery that run
MISSING: dict[str, str] = {}  # why a battery does not run


def collect(file: str, battery: Battery) -> dict[str, type]:
    """Loads a battery's test cases, marks their tests, and counts those that run."""
    try:
        classes = load(file, battery)
    except (ImportError, LookupError) as error:
        MISSING[file] = str(error)
        return {}
    NUM_CASES[file] = 0
    for case in classes.values():
        for name, function in inspect.getmembers(case, inspect.isfunction):
            if not name.startswith("test"):
                continue
            reasons = [why for start, why in battery.left_out.items() if name.startswith(start)]
            if reasons:
                function = pytest.mark.skip(reason=reasons[0])(function)
            elif name.startswith(battery.slow):
                function = pytest.mark.slow(function)
            NUM_CASES[file] += not reasons
            setattr(case, name, function)
    return {f"{Path(file).stem}_{name}": case for name, case in classes.items()}


# pytest finds the test cases of a module by its names.
for _battery in BATTERIES.items():
    globals().update(collect(*_battery))


@pytest.fixture(autouse=True)
def settings_of_optax():
    """Optax's tests broadcast at will, and some leave 64-bit numbers enabled when they fail."""
    before = jax.config.values["jax_numpy_rank_promotion"]
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", before)
    jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("file", BATTERIES)
def test_each_battery_has_cases(file):
    if file in MISSING:
        pytest.skip(MISSING[file])
    assert NUM_CASES[file] > 0


def test_enough_cases_run():
    """However a newer Optax names and moves its tests; with Optax 0.2.8 there are over 350."""
    assert sum(NUM_CASES.values()) >= 200
