"""Arguments of compat.torch: one number each, whole where torch counts, choices in its words."""

import inspect
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

torch = js.compat.torch


def half(step):
    """A factor that can be pickled, unlike a lambda."""
    return 0.5


def shrinking(cycle):
    return 1 / cycle


# A call of every class with valid arguments, each of them named.
CALLS = {
    "LambdaLR": {"lr_lambda": half},
    "MultiplicativeLR": {"lr_lambda": half, "total_steps": 8},
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [3, 5]},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 8},
    "CosineAnnealingWarmRestarts": {"T_0": 4},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.5, "step_size_down": 2, "scale_fn": shrinking},
    "OneCycleLR": {"max_lr": 0.5, "total_steps": 8},
    "SequentialLR": {
        "schedulers": [torch.MultiplicativeLR(0.5, half, total_steps=3), torch.StepLR(0.5, 3)],
        "milestones": [4],
    },
    "ChainedScheduler": {"schedulers": [torch.ConstantLR(0.5, 0.5, 2), torch.StepLR(0.5, 3)]},
    "SWALR": {"swa_lr": 0.1},
    "ReduceLROnPlateau": {"at": js.every(1)},
}


def call(name, **changed):
    arguments = CALLS[name] | changed
    return getattr(torch, name)(arguments.pop("lr", 0.5), **arguments)


def parameters(*kinds):
    """Each class with each of its parameters of these types."""
    return [
        pytest.param(name, parameter, id=f"{name}-{parameter}")
        for name in CALLS
        for parameter, p in inspect.signature(getattr(torch, name)).parameters.items()
        if p.annotation in kinds
    ]


def test_every_class_is_called_here():
    functions = {n for n, f in vars(torch).items() if inspect.isfunction(f) and n[0].isupper()}
    assert functions == set(CALLS)
    assert len(parameters(float)) > 40 and len(parameters(int, int | None)) > 14


@pytest.mark.parametrize(("name", "parameter"), parameters(float, int, int | None))
def test_a_list_for_groups_is_refused_and_partition_is_named(name, parameter):
    needs = f"^{name} needs one number as {parameter}, got {parameter}="
    for group in ([0.1, 0.01], (4, 5), [1], np.array([0.1, 0.01]), jnp.ones((2, 1))):
        with pytest.raises(
            ValueError, match=f"(?s){needs}.* each its own {name} by optax.partition"
        ):
            call(name, **{parameter: group})
    for nonsense in ("0.1", {}.get):
        with pytest.raises(ValueError, match=needs):
            call(name, **{parameter: nonsense})


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("LambdaLR", "lr_lambda"), ("MultiplicativeLR", "lr_lambda"), ("CyclicLR", "scale_fn")],
)
def test_a_list_of_functions_is_refused(name, parameter):
    needs = f"^{name} needs one function as {parameter}, got {parameter}="
    for group in ([half, half], (half,)):
        with pytest.raises(ValueError, match=f"{needs}.* each its own {name} by optax.partition"):
            call(name, **{parameter: group})
    with pytest.raises(ValueError, match=f"{needs}0.9"):
        call(name, **{parameter: 0.9})


def test_partition_gives_every_group_its_own_rate():
    """The module's own words; by hand, the rates are those of two torch schedulers."""
    rates = {"body": 0.01, "head": 0.1}
    tx = optax.partition(
        {name: optax.sgd(torch.StepLR(lr, 2)) for name, lr in rates.items()},
        {"body": "body", "head": "head"},
    )
    params = {"body": jnp.ones((3, 2)), "head": jnp.ones(2)}
    state = tx.init(params)
    for factor in (1, 1, 0.1, 0.1):
        updates, state = tx.update(params, state)
        for name, lr in rates.items():
            assert np.asarray(updates[name]) == pytest.approx(-lr * factor)


@pytest.mark.parametrize(("name", "parameter"), parameters(float, int, int | None))
def test_numbers_that_are_not_finite_are_refused(name, parameter):
    for number in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"^{name} needs a finite number as {parameter}, got"):
            call(name, **{parameter: number})


LEAST = {
    "total_iters": 0, "anneal_epochs": 0, "step_size_down": 0, "patience": 0, "cooldown": 0,
}  # fmt: skip


@pytest.mark.parametrize(("name", "parameter"), parameters(int, int | None))
def test_counts_are_whole_and_not_too_small(name, parameter):
    least = LEAST.get(parameter, 1)
    needs = f"^{name} needs {parameter} to be a whole number of at least {least}, got {parameter}="
    # OneCycleLR takes the epochs only without a total.
    rest = {"total_steps": None, "epochs": 4, "steps_per_epoch": 2} if name == "OneCycleLR" else {}
    for number in (1.7, np.float32(2.5), least - 1, -3):
        with pytest.raises(ValueError, match=needs + str(number)):
            call(name, **rest | {parameter: number})
    if name != "ReduceLROnPlateau":
        whole, others = call(name, **rest | {parameter: 4}), (4.0, np.int64(4), np.float32(4))
        assert all(call(name, **rest | {parameter: other}) == whole for other in others)


@pytest.mark.parametrize("name", ["MultiStepLR", "SequentialLR"])
def test_milestones_are_whole(name):
    bound = {"MultiStepLR": "", "SequentialLR": " of at least 0"}[name]
    for milestones in ([2.5], np.array([2.5])):
        needs = f"^{name} needs milestones to be a whole number{bound}, got milestones=2.5"
        with pytest.raises(ValueError, match=needs):
            call(name, milestones=milestones)
    for no_list in (30, "30"):
        with pytest.raises(ValueError, match=f"{name} needs milestones as a list of whole numbers"):
            call(name, milestones=no_list)
    whole = call(name, milestones=[4])
    assert call(name, milestones=np.array([4.0])) == call(name, milestones=(4,)) == whole
    assert torch.MultiStepLR(1.0, [-3, 10**25, 2]).milestones == (2, 10**25)
    with pytest.raises(ValueError, match="SequentialLR needs milestones to be a whole number"):
        call("SequentialLR", milestones=[-1])


@pytest.mark.parametrize(
    ("name", "parameter", "choices"),
    [
        ("CyclicLR", "mode", "'triangular', 'triangular2' or 'exp_range'"),
        ("CyclicLR", "scale_mode", "'cycle' or 'iterations'"),
        ("OneCycleLR", "anneal_strategy", "'cos' or 'linear'"),
        ("SWALR", "anneal_strategy", "'cos' or 'linear'"),
        ("ReduceLROnPlateau", "mode", "'min' or 'max'"),
        ("ReduceLROnPlateau", "threshold_mode", "'rel' or 'abs'"),
    ],
)
def test_misspelt_choices_are_refused_with_the_right_ones(name, parameter, choices):
    plain = {"scale_fn": None} if parameter == "mode" and name == "CyclicLR" else {}
    right = choices.replace("'", "").replace(" or ", ", ").split(", ")
    for choice in right:
        call(name, **plain, **{parameter: choice})
    needs = f"{name} needs {parameter} to be one of {choices}, got"
    for wrong in ("CATS", right[0].upper(), "", None, "cosine", [right[0]]):
        with pytest.raises(ValueError, match=needs):
            call(name, **plain, **{parameter: wrong})


def test_torch_ignores_the_mode_beside_a_scale_function():
    assert call("CyclicLR", mode="mine") == call("CyclicLR")


def test_combinators_take_a_list_of_schedules():
    pair = torch.OneCycleLR(0.5, 1.0, 10)
    plateau = torch.ReduceLROnPlateau(0.5, at=js.every(1))
    for name in ("SequentialLR", "ChainedScheduler"):
        for part in (pair, plateau, 0.1):
            with pytest.raises(ValueError, match=f"{name} needs schedules, got .* of the pair"):
                call(name, schedulers=[torch.StepLR(0.5, 3), part])
        with pytest.raises(ValueError, match=f"{name} needs a list of schedulers, got Step"):
            call(name, schedulers=torch.StepLR(0.5, 3))
        with pytest.raises(ValueError, match=f"{name} needs at least one scheduler"):
            call(name, schedulers=[])


def test_division_by_nothing_is_refused():
    for name in ("div_factor", "final_div_factor"):
        with pytest.raises(ValueError, match=f"OneCycleLR needs a {name} above 0, got {name}=0"):
            call("OneCycleLR", **{name: 0})


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"ReduceLROnPlateau"}))
def test_one_vmap_sweeps_the_learning_rates_of_every_class(name):
    """A traced scalar is one number."""
    parameter = {"CyclicLR": "max_lr", "OneCycleLR": "max_lr"}.get(name, "lr")

    def values(rate):
        built = call(name, **{parameter: rate})
        lr = built[0] if isinstance(built, tuple) else built
        return jax.vmap(lr)(jnp.arange(10))

    swept = jax.jit(jax.vmap(values))(jnp.array([0.25, 0.5, 1.0]))
    np.testing.assert_allclose(swept[1], jax.jit(lambda: values(0.5))(), 1e-5, 1e-9)


def cut_off():
    """torch places the second turn after the last update."""
    return torch.OneCycleLR(0.5, 1.0, 20, pct_start=0.6, three_phase=True)


BUILDERS = {
    "three phases": lambda: torch.OneCycleLR(0.5, 1.0, 20, three_phase=True),
    "three phases, cut off": cut_off,
    "a sequence of those": lambda: torch.SequentialLR(0.5, [cut_off()[0]] * 2, [9]),
    **{name: lambda name=name: call(name) for name in CALLS if name != "ReduceLROnPlateau"},
}


@pytest.mark.parametrize("name", BUILDERS)
def test_schedules_hash_compare_and_pickle(name):
    one, other = BUILDERS[name](), BUILDERS[name]()
    assert one == other and hash(one) == hash(other) and one is not other
    again = pickle.loads(pickle.dumps(one))
    assert again == one and repr(again) == repr(one)
    assert one != torch.ConstantLR(0.4)
