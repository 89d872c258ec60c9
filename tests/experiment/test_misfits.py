"""Times that look like a mistake are said: the interval trap, and a momentum left behind."""

import dataclasses

import pytest

import jaxsched as js
from jaxsched.data import Digits
from jaxsched.experiment import Experiment, misfits
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

CYCLE = js.OneCycle(0.1, duration=20)


def said(optimizer, **changes):
    experiment = Experiment(
        name="tiny",
        task=ImageClassification(model=CifarResNet(depth=8), data=Digits()),
        phases=(js.Phase(epochs=20, batch_size=32),),
        optimizer=optimizer,
    )
    experiment = dataclasses.replace(experiment, **changes)
    return misfits(experiment, experiment.plan(num_examples=1493))


@pytest.mark.parametrize(
    "optimizer",
    [
        js.SGD(0.1, momentum=0.9, weight_decay=5e-4),
        js.SGD(CYCLE, momentum=CYCLE.momentum()),
        js.SGD(CYCLE, momentum=CYCLE.momentum(0.9, 0.8)),
        js.SGD(js.OneCycle(0.1, "100%"), momentum=CYCLE.momentum()),  # the same, once resolved
        js.SGD(CYCLE, momentum=0.9),
        js.Adam(CYCLE, b1=CYCLE.momentum()),
        js.SGD(js.SmithOneCycle(0.01, 0.1, 9), momentum=js.SmithOneCycle(0.01, 0.1, 9).momentum()),
        js.SGD(js.Cyclic(0.01, 0.1, up=4), momentum=js.Cyclic(0.01, 0.1, up=4).momentum()),
    ],
)
def test_nothing_is_said_of_what_fits(optimizer):
    assert said(optimizer) == ()


def test_updates_given_for_epochs_are_said():
    """934 updates are the 20 epochs."""
    (sentence,) = said(js.SGD(js.Cosine(0.1, duration=934)))
    assert sentence.startswith("lr: Cosine") and "934" in sentence and "20" in sentence
    (sentence,) = said(js.SGD(0.1, weight_decay=js.Cosine(1e-3, duration=2)))
    assert sentence.startswith("weight_decay: Cosine") and "2" in sentence
    (sentence,) = said(js.SGD(0.1), evaluate_every=934)
    assert "evaluate_every: 934 epochs are more than the 20 of the run" in sentence


@pytest.mark.parametrize(
    ("lr", "momentum", "sentence"),
    [
        (CYCLE, js.OneCycleMomentum(19), "duration 19 instead of 20"),
        (CYCLE, js.OneCycleMomentum(20, rise=0.4), "rise 0.4 instead of 0.3"),
        (js.OneCycle(0.1, "100%"), js.OneCycleMomentum("90%"), "duration 18 instead of 20"),
        (
            js.Cyclic(0.01, 0.1, up=4, down=6),
            js.Cyclic(0.9, 0.8, up=5, down=5, exp_range_of="amplitude"),
            "up 5 instead of 4, down 5 instead of 6",
        ),
    ],
)
def test_a_momentum_that_was_left_behind_is_said(lr, momentum, sentence):
    expected = f"momentum follows another cycle than lr: {sentence}; change both."
    assert said(js.SGD(lr, momentum=momentum)) == (expected,)


def test_a_warm_up_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="warm-up must end within the run"):
        said(js.SGD(js.Warmup(js.Constant(0.1), duration=934)))
