"""Combinators, against Optax and what they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

UPDATES = np.arange(120)


def test_warmup_cosine_is_optax_warmup_cosine_decay(values, values_of_optax):
    theirs = optax.warmup_cosine_decay_schedule(0.1, 1.0, warmup_steps=10, decay_steps=100)
    ours = js.Sequence((js.Linear(0.1, 1.0, 10), js.Cosine(1.0, 90)), (10,))
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-4, atol=1e-8)


def test_each_part_of_a_sequence_sees_its_own_time():
    seen = []

    def spy(t):
        seen.append(int(t))
        return 1.0

    js.Sequence((js.Constant(0.5), spy), (40,))(50)
    assert seen == [10]


def test_stretch_is_the_way_from_epochs_to_updates(values):
    of_epochs = js.Warmup(js.MultiStep(0.1, (3, 6)), 1)
    updates = values(js.Stretch(of_epochs, 20), np.arange(140))
    np.testing.assert_allclose(updates, values(of_epochs, np.arange(140) / 20), rtol=1e-6)
    assert updates[59] == pytest.approx(0.1) and updates[60] == pytest.approx(0.01)


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_warm_up_by_a_power(values, power):
    """init2winit's "polynomial" warm-up: peak * (step / warmup_steps) ** power."""
    theirs = 0.3 * np.minimum(UPDATES / 40, 1) ** power
    ours = js.Warmup(js.Constant(0.3), 40, power=power)
    np.testing.assert_allclose(values(ours), theirs, rtol=1e-6)


def test_a_floor_cuts_off(values):
    theirs = np.maximum(0.3 * (1 - UPDATES / 100), 0.05)
    ours = js.AtLeast(js.Linear(0.3, 0.0, 100), 0.05)
    np.testing.assert_allclose(values(ours), theirs, rtol=1e-6)
    plan = js.Plan((js.Phase(100, 10),), num_examples=100)
    assert plan.schedule(js.AtLeast(js.MultiStep(1.0, ("50%",)), 0.2))(500) == np.float32(0.2)


LR = js.Linear(1.0, 0.0, 4)
CYCLE = js.Cyclic(0.0, 0.5, 1)


@pytest.mark.parametrize(
    ("made", "meant", "at_1"),
    [
        (LR * 2, js.Product((LR, js.Constant(2))), 1.5),
        (2 * LR, LR * 2, 1.5),
        (np.float64(2) * LR, LR * 2, 1.5),
        (jnp.float32(2) * LR, LR * jnp.float32(2), 1.5),
        (LR / 4, LR * 0.25, 0.1875),
        (LR * CYCLE * 3, js.Product((LR, CYCLE, js.Constant(3))), 1.125),
        (LR + 0.5, js.Sum((LR, js.Constant(0.5))), 1.25),
        (0.5 + LR + CYCLE, js.Sum((LR, js.Constant(0.5), CYCLE)), 1.75),
        (LR * 2 + CYCLE, js.Sum((LR * 2, CYCLE)), 2.0),
    ],
)
def test_arithmetic_makes_combinators(made, meant, at_1):
    assert made == meant and hash(made) == hash(meant)
    assert float(made(1)) == at_1 == float(jax.jit(made.__call__)(1))


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: LR * "2", "number or a schedule stands beside .* got '2'.* use Sequence"),
        (lambda: LR + "5 epochs", "got '5 epochs'"),
        (lambda: LR + None, "got None"),
        (lambda: LR * [1, 2], "one after another use Sequence"),
        (lambda: LR / LR, "divided by a number"),
        (lambda: 2 / LR, "unsupported operand"),
        (lambda: LR - 0.1, "unsupported operand"),
        (lambda: LR**2, "unsupported operand"),
    ],
)
def test_arithmetic_without_a_meaning_is_refused(refused, message):
    with pytest.raises(TypeError, match=message):
        refused()


def test_a_function_stands_beside_a_schedule():
    assert float((LR * (lambda t: t + 1))(1)) == 1.5
    assert float((LR + (lambda t: t + 1))(1)) == 2.75
