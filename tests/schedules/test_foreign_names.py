"""A field's name in another framework is answered by what to write here."""

import inspect

import optax
import pytest

import jaxsched as js
from jaxsched.schedules.foreign_names import FOREIGN

ASKED = [
    (
        lambda: js.OneCycle(max_lr=0.1, total_steps=90),
        "OneCycle has no field max_lr. That is torch's name: write peak=…, or use "
        "js.compat.torch.OneCycleLR.",
    ),
    (lambda: js.OneCycle(0.1, 90, pct_start=0.2), "write rise=…, or use"),
    (lambda: js.Cosine(0.1, T_max=9), "write duration=…, or use js.compat.torch.CosineAnnealingLR"),
    (lambda: js.Step(0.1, 30, gamma=0.5), "write factor=…, or use js.compat.torch.StepLR"),
    (lambda: js.Step(0.1, step_size=30), "write every=…"),
    (lambda: js.Exponential(0.1, gamma=0.9), "write rate=…"),
    (
        lambda: js.Step(0.1, milestones=(3,)),
        "Step has no field milestones. That is torch's name, of MultiStepLR: here it is "
        "js.MultiStep with milestones=….",
    ),
    (lambda: js.InverseTime(0.1, gamma=0.5), "Caffe's name: write timescale=1 / gamma."),
    (lambda: js.CosineRestarts(0.1, 9, m_mul=0.5), "Keras's name: write decay=…."),
    (
        lambda: js.Cosine(0.1, druation=5),
        "Cosine has no field druation; did you mean duration? Its fields are peak, duration, end,",
    ),
    (lambda: js.Constant(0.1, colour="red"), "no field colour; its fields are value."),
]


@pytest.mark.parametrize(("build", "message"), ASKED)
def test_the_error_says_what_to_write(build, message):
    with pytest.raises(TypeError) as error:
        build()
    assert message in str(error.value)


@pytest.mark.parametrize("other", FOREIGN, ids=lambda other: other.name)
def test_what_is_named_is_there(other):
    """Our classes and fields, and torch's and Optax's names, where these are at hand."""
    fields = inspect.signature(getattr(js, other.ours)).parameters
    for theirs, ours in other.fields.items():
        assert ours.partition("=")[0] in fields or f"{other.ours}(…).momentum(" in ours
        assert theirs not in fields or theirs == ours
    home = {"torch": js.compat.torch, "Optax": optax}.get(other.framework)
    if home:
        arguments = inspect.signature(getattr(home, other.name)).parameters
        assert set(other.fields) <= set(arguments)
