"""Values set by name and by path, training images held out, and names for files."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxsched as js
from jaxsched.data import Cifar10, Digits, Streamed, Subset, Synthetic
from jaxsched.experiment import held_out, with_value
from jaxsched.models import CifarResNet, WideResNet
from jaxsched.text import text_of


@pytest.fixture(scope="module")
def experiment(experiment):
    """The small experiment with one phase and 1cycle, whose numbers can be set by name."""
    lr = js.OneCycle(0.2, duration="100%")
    optimizer = js.SGD(lr, momentum=lr.momentum(0.95, 0.85), weight_decay=1e-3)
    return dataclasses.replace(
        experiment.with_task(model=CifarResNet(depth=8, width=2)),
        phases=(js.Phase(2, 16),),
        optimizer=optimizer,
    )


def with_lr(experiment, lr):
    return dataclasses.replace(experiment, optimizer=js.SGD(lr, momentum=0.9))


def test_a_schedule_gives_way_to_a_constant(experiment):
    decayed = with_value(experiment, "weight_decay", 1e-5)
    assert decayed.optimizer.weight_decay == js.Constant(1e-5)
    still = with_value(experiment, "momentum", 0.8)
    assert still.optimizer.momentum == js.Constant(0.8)
    # and nothing else changes
    assert dataclasses.replace(still, optimizer=experiment.optimizer) == experiment
    assert still.optimizer.lr == experiment.optimizer.lr


@pytest.mark.parametrize(
    ("lr", "expected"),
    [
        (js.OneCycle(0.2, duration="100%"), js.OneCycle(0.5, duration="100%")),
        (js.Cosine(0.2, duration=3), js.Cosine(0.5, duration=3)),
        (js.Constant(0.2), js.Constant(0.5)),
    ],
)
def test_lr_is_the_highest_value(experiment, lr, expected):
    assert with_value(with_lr(experiment, lr), "lr", 0.5).optimizer.lr == expected


def test_dropout_batch_size_and_paths(experiment):
    wide = experiment.with_task(model=WideResNet(depth=10, widen=1))
    assert with_value(wide, "dropout", 0.3).task.model.dropout == 0.3
    assert with_value(experiment, "batch_size", 32).phases == (js.Phase(2, 32),)
    assert with_value(experiment, "phases.0.epochs", 5).phases == (js.Phase(5, 16),)
    assert with_value(experiment, "label_smoothing", 0.1).task.label_smoothing == 0.1
    assert with_value(experiment, "model.norm.ghost", 8).task.model.norm.ghost == 8
    rate = with_value(experiment, "optimizer.lr.rise", 0.4).optimizer.lr
    assert rate == dataclasses.replace(experiment.optimizer.lr, rise=0.4)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("dropout", 0.1, r"such as WideResNet, got CifarResNet with \['depth', 'width', 'norm'"),
        ("wieght_decay", 0.1, "expected a field of Experiment, one of .*'optimizer'.*'wieght_dec"),
        ("model.widht", 4, r"model.widht: expected a field of CifarResNet, one of \['depth'"),
        ("phases.1.epochs", 4, "expected an index within 0 … 0 of a tuple, got '1'"),
        ("name.x", 4, r"expected a field of str, one of \[\], got 'x'"),
        ("batch_size", 0, "whole batch_size of at least 1, got batch_size=0"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(experiment, name, value, message):
    with pytest.raises(ValueError, match=message):
        with_value(experiment, name, value)


def test_a_name_of_torchs_in_a_path_is_answered(experiment):
    message = (
        r"optimizer.lr.max_lr: OneCycle has no field max_lr. That is torch's name: write peak="
    )
    with pytest.raises(ValueError, match=message):
        with_value(experiment, "optimizer.lr.max_lr", 0.1)


def test_what_has_no_such_number_is_refused(experiment):
    adam = dataclasses.replace(experiment, optimizer=js.Adam(1e-3))
    with pytest.raises(ValueError, match=r"got Adam with \['b1', 'b2', 'lr', 'weight_decay'\]"):
        with_value(adam, "momentum", 0.9)
    line = with_lr(experiment, js.Linear(0.1, 0.0, duration=2))
    with pytest.raises(ValueError, match=r"one of \['optimizer.lr.start', 'optimizer.lr.end'"):
        with_value(line, "lr", 0.3)
    # The value of an exponential decay is its first, not its highest.
    growing = with_lr(experiment, js.Exponential(0.1, rate=2.0))
    with pytest.raises(ValueError, match="sets the peak of a schedule, or the value of a Constant"):
        with_value(growing, "lr", 0.3)
    two = dataclasses.replace(experiment, phases=(*experiment.phases, js.Phase(1, 32)))
    with pytest.raises(ValueError, match="needs an experiment of one phase, got 2"):
        with_value(two, "batch_size", 16)


@given(st.floats(min_value=0, allow_infinity=False, allow_nan=False))
def test_a_number_in_a_name_is_that_very_number(value):
    text = text_of(value)
    assert float(text) == value
    assert all(letter.isalnum() or letter in "-_." for letter in text)
    assert len(text) <= max(len(repr(value)), len(f"{value:.16e}"))


def test_a_tenth_of_the_training_images_is_held_out(experiment):
    def data(source):
        return held_out(experiment.with_task(data=source)).task.data

    whole, part = Digits().load(), data(Digits()).load()
    assert part.evaluated_on == "validation"
    # Of each class a tenth, rounded up: within a class of one image.
    assert math.ceil(len(whole.train) / 10) <= len(part.test) < len(whole.train) / 10 + 10
    assert len(part.train) + len(part.test) == len(whole.train)
    assert data(Digits(validation=0.2)) == Digits(validation=0.2)
    assert data(Subset(Cifar10("data"), 5000)) == Subset(Cifar10("data", 0.1), 5000)
    assert data(Streamed(Digits())) == Streamed(Digits(validation=0.1))
    assert data(Synthetic()) == Synthetic()
