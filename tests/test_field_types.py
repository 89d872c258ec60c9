"""Wrong types in specs are refused by name, by one check of the dataclasses' annotations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.bench import MedianBest, Study
from jaxsched.data import Digits, Source
from jaxsched.experiment import Experiment, describe
from jaxsched.field_types import check_field_types
from jaxsched.models import (
    BatchNorm,
    BottleneckResNet,
    CifarResNet,
    GroupNorm,
    ResNet,
    WideResNet,
)
from jaxsched.tasks import ImageClassification
from jaxsched.tune import Grid, RangeTest, Recipe

OPTIMIZER = js.SGD(js.OneCycle(0.1, duration=1), momentum=0.9)
EXPERIMENT = Experiment(
    name="tiny",
    task=ImageClassification(model=CifarResNet(depth=8), data=Digits()),
    phases=(js.Phase(epochs=1, batch_size=32),),
    optimizer=OPTIMIZER,
)
STUDY = Study(name="study", experiments=(EXPERIMENT,), seeds=(0,), target=0.9)
SPECS = [
    EXPERIMENT,
    EXPERIMENT.task,
    STUDY,
    CifarResNet(depth=8),
    ResNet(),
    BottleneckResNet(),
    WideResNet(),
    BatchNorm(),
    GroupNorm(),
    js.GrowOnDecay(),
    js.GrowOnNoise(),
    RangeTest(),
    Grid(experiment=EXPERIMENT, axes={"lr": (0.1,)}),
    Recipe(experiment=EXPERIMENT),
]


@dataclasses.dataclass(frozen=True)
class Own(Source):
    """A user's source, which checks nothing itself."""

    size: int = 1
    is_grey: bool = False
    sources: tuple[Source, ...] = ()


WRONG = [object(), print, js.Phase, optax.sgd(0.1), {"a": {}}, b"bytes", 1j]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
def test_every_field_of_a_wrong_type_is_named(spec):
    for field in dataclasses.fields(spec):
        for wrong in WRONG:
            if field.name == "optimizer" and isinstance(wrong, optax.GradientTransformation):
                continue  # it becomes an `OptaxChain`
            with pytest.raises(ValueError, match=rf"{type(spec).__name__} needs {field.name}\b"):
                dataclasses.replace(spec, **{field.name: wrong})


def test_one_phase_and_an_optax_transformation_are_taken_for_what_they_mean():
    changes = {"phases": js.Phase(1, 32), "optimizer": optax.sgd(0.1)}
    taken = dataclasses.replace(EXPERIMENT, **changes)
    assert taken.phases == (js.Phase(1, 32),)
    assert taken.optimizer == js.OptaxChain(optax.sgd(0.1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phases": 32}, r"phases as a tuple of Phase, got 32; write phases=\(Phase\(…\),\)\."),
        ({"phases": (32,)}, r"phases\.0 as a Phase, got 32; give Phase\(…\)"),
        ({"optimizer": js.SGD}, r"optimizer as .* got the class SGD; write js\.SGD\(…\)"),
        ({"optimizer": 0.1}, r"optimizer as .* got 0\.1; write js\.SGD\(0\.1, momentum=0\.9\)"),
        ({"optimizer": optax.sgd}, r"optimizer as .*; call it, or write js\.FromOptax\(optax\.sgd"),
        ({"seed": "1"}, r"seed as a whole number, got '1'; write 1 without quotes"),
        ({"seed": 1.0}, r"seed as a whole number, got 1\.0; write 1\."),
        ({"seed": True}, r"seed as a whole number, got True"),
        ({"evaluate_every": "2"}, r"evaluate_every as a number, got '2'; write 2 without"),
        ({"weight_norms": 1}, r"weight_norms as True or False, got 1"),
        ({"max_device_batch": 2.5}, r"max_device_batch as a whole number or None, got 2\.5"),
        ({"driver": "tpu"}, r"driver as 'jit' or 'pmap', got 'tpu'"),
    ],
)
def test_the_message_says_what_belongs_there_what_came_and_the_fix(changes, message):
    with pytest.raises(ValueError, match=f"^Experiment needs {message}"):
        dataclasses.replace(EXPERIMENT, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": "cifar10"},
            r"data as a Source, got 'cifar10'; give .* Cifar10\(…\) or .* Digits\(…\)",
        ),
        ({"model": CifarResNet}, r"model as a Network, got the class Cifar.*; write Cifar"),
        ({"data": Own(is_grey=1)}, r"data\.is_grey as True or False, got 1"),
        ({"data": Own(size=2.5)}, r"data\.size as a whole number, got 2\.5"),
        ({"data": Own(sources=("digits",))}, r"data\.sources\.0 as a Source, got 'digits'"),
        ({"data": Own(sources=(Own(size="1"),))}, r"data\.sources\.0\.size as a whole number"),
        ({"data": Own(sources=Digits())}, r"data\.sources as a tuple of Source, got Digits\("),
        ({"augment": 4}, r"augment as an Augment or None, got 4"),
        ({"label_smoothing": 1.0}, r"label_smoothing within \[0, 1\), got 1\.0"),
    ],
)
def test_a_task_is_checked_too(changes, message):
    with pytest.raises(ValueError, match=f"^ImageClassification needs {message}"):
        EXPERIMENT.with_task(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 5}, r"seeds as a tuple of whole numbers, got 5; write seeds=\(5,\)\."),
        ({"seeds": (0.5,)}, r"seeds\.0 as a whole number, got 0\.5"),
        ({"seeds": ("0",)}, r"seeds\.0 as a whole number, got '0'; write 0 without quotes"),
        (
            {"experiments": EXPERIMENT},
            r"experiments as a tuple of Experiment, got Exp.*; write exp",
        ),
        ({"target": "best"}, r"target as a number or a MedianBest, got 'best'"),
        ({"published": {"tiny": 0.9}}, r"published as a dict from texts to Published, got"),
        ({"seeds": (-1,)}, r"different seeds, at least one, within \[0, 2\*\*31\), got \(-1,\)"),
    ],
)
def test_a_study_is_checked_too(changes, message):
    with pytest.raises(ValueError, match=f"^Study needs {message}"):
        dataclasses.replace(STUDY, **changes)


def test_a_list_or_a_range_becomes_a_tuple_and_the_digest_stays():
    listed = dataclasses.replace(EXPERIMENT, phases=[js.Phase(1, 32)])
    assert listed == EXPERIMENT and hash(listed) == hash(EXPERIMENT)
    assert listed.digest() == EXPERIMENT.digest()
    assert dataclasses.replace(STUDY, seeds=range(3)).seeds == (0, 1, 2)
    assert ResNet(stages=[1, 1]) == ResNet(stages=(1, 1))


def test_numbers_of_numpy_and_jax_are_numbers():
    seed = dataclasses.replace(EXPERIMENT, seed=np.int64(3))
    assert describe(seed) == describe(dataclasses.replace(EXPERIMENT, seed=3))
    for peak in np.float32(0.1), np.array(0.1), jnp.float32(0.1), jnp.bfloat16(0.1), 1:
        optimizer = js.SGD(js.Cosine(peak, duration=1))
        dataclasses.replace(EXPERIMENT, optimizer=optimizer)
    assert dataclasses.replace(STUDY, target=MedianBest("tiny")).target.baseline == "tiny"

    @jax.jit
    def traced(peak):
        optimizer = js.SGD(js.Cosine(peak, duration=1))
        return dataclasses.replace(EXPERIMENT, optimizer=optimizer).optimizer.lr(0)

    assert traced(0.5) == 0.5


def test_annotations_that_name_nothing_are_not_checked():
    @dataclasses.dataclass
    class Own:
        field: "NothingOfThisName"  # noqa: F821

        def __post_init__(self):
            check_field_types(self)

    assert Own(1).field == 1
