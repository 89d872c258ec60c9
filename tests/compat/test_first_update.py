"""The first update that uses a new value, in each library, and how to get the same here.

With a boundary at 3 the first lower update is number 3 for us, for torch stepped once an update and
for Optax. Keras and timm's MultiStep count differently; moving the boundary gives their answer. The
numbers for Keras 3.15.1 and timm 1.0.31 were read off by running them.
"""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

RECORDED = json.loads((pathlib.Path(__file__).parent / "torch_traces.json").read_text())
UPDATES = jnp.arange(12)
FIRST_LOWER = {
    "jaxsched MultiStep": 3,
    "torch MultiStepLR": 3,
    "optax piecewise_constant_schedule": 3,
    "timm StepLRScheduler": 3,
    "Keras PiecewiseConstantDecay": 4,
    "timm MultiStepLRScheduler": 2,
}


def first_lower(values):
    values = np.asarray(values)
    return int(np.argmax(values < values[0]))


def drops(boundary):
    return js.MultiStep(1.0, milestones=(boundary, 6), factor=0.1)


def test_ours():
    assert first_lower(drops(3)(UPDATES)) == FIRST_LOWER["jaxsched MultiStep"]


def test_torch():
    recorded = RECORDED["conventions"]["milestones 3 and 6"]["lrs"]
    assert first_lower(recorded) == FIRST_LOWER["torch MultiStepLR"]
    np.testing.assert_allclose(drops(3)(UPDATES), recorded, rtol=1e-6)


def test_optax():
    theirs = optax.piecewise_constant_schedule(1.0, {3: 0.1, 6: 0.1})
    values = [float(theirs(int(update))) for update in UPDATES]
    assert first_lower(values) == FIRST_LOWER["optax piecewise_constant_schedule"]
    np.testing.assert_allclose(drops(3)(UPDATES), values, rtol=1e-6)


@pytest.mark.parametrize("system", sorted(FIRST_LOWER))
def test_moving_the_boundary_gives_their_answer(system):
    boundary = FIRST_LOWER[system]
    assert first_lower(drops(boundary)(UPDATES)) == boundary
    assert first_lower(js.Step(1.0, every=boundary, factor=0.1)(UPDATES)) == boundary


def test_the_first_update_of_a_warm_up():
    torch = RECORDED["conventions"]["warm-up of 4 from a quarter"]["lrs"]
    np.testing.assert_allclose(js.Warmup(js.Constant(1.0), 4, start=0.25)(UPDATES), torch)
    optax_values = [float(optax.linear_schedule(0.0, 1.0, 4)(int(update))) for update in UPDATES]
    np.testing.assert_allclose(js.Warmup(js.Constant(1.0), 4)(UPDATES), optax_values)
    assert (torch[0], optax_values[0]) == (0.25, 0.0)
