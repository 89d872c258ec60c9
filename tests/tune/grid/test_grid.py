"""The cells of a grid, and the values that its refinement adds."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxsched as js
from jaxsched.data import Digits
from jaxsched.tune import Grid
from jaxsched.tune.grid.bisection import bisect


def grid(experiment, **changes):
    defaults = {"axes": {"weight_decay": (0.0, 1e-4), "momentum": (0.9, 0.95)}, "epochs": 1.0}
    return Grid(**{"experiment": experiment, **defaults, **changes})


def test_cells_are_the_crossed_product_with_names_of_files(experiment):
    cells = grid(experiment).cells()
    assert [cell.experiment.name for cell in cells] == [
        "small_weight_decay0_momentum0.9",
        "small_weight_decay0_momentum0.95",
        "small_weight_decay1e-4_momentum0.9",
        "small_weight_decay1e-4_momentum0.95",
    ]
    last = cells[-1]
    assert last.values == {"weight_decay": 1e-4, "momentum": 0.95}
    optimizer = last.experiment.optimizer
    assert (optimizer.weight_decay.value, optimizer.momentum.value) == (1e-4, 0.95)
    assert optimizer.lr == experiment.optimizer.lr


def test_runs_are_short_and_look_at_held_out_images(experiment):
    data = Digits()
    long = dataclasses.replace(
        experiment.with_task(data=data),
        phases=(js.Phase(6, 16), js.Phase(2, 32)),
        evaluate_every=2.0,
    )
    short = grid(long, epochs=4.0).short
    assert short.phases == (js.Phase(3, 16), js.Phase(1, 32))
    assert short.task.data == Digits(validation=0.1)
    assert short.evaluate_every == 1.0
    # Times in per cent stretch with the run: the cycle still ends with it.
    plan = short.plan(1000)
    rate = plan.schedule(short.optimizer.lr)
    assert float(rate(plan.total_steps)) < 2e-4 * float(rate(0)) < float(rate(60))
    from_snapshot = grid(long, epochs=4.0, from_snapshot=4.0).short
    assert [phase.epochs for phase in from_snapshot.phases] == [6, 2]
    assert from_snapshot.evaluate_every == 1.0


def test_a_snapshot_is_of_the_middle_values(experiment):
    axes = {"weight_decay": (1e-2, 0.0, 1e-4), "momentum": (0.9, 0.8)}
    middle = grid(experiment, axes=axes, from_snapshot=1.0).middle()
    assert middle.values == {"weight_decay": 1e-4, "momentum": 0.9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {}}, "at least one value of each axis, got {}"),
        ({"axes": {"momentum": ()}}, "at least one value of each axis"),
        ({"axes": {"momentum": (0.9, 0.9)}}, r"different momentum, at least one, got \(0.9, 0.9\)"),
        ({"seeds": (1, 1)}, r"different seeds, at least one, .* got \(1, 1\)"),
        ({"epochs": 0.0}, "epochs above 0 and refine of at least 0, got epochs=0.0"),
        ({"from_snapshot": 0.0}, "from_snapshot above 0 epochs, or None, got 0.0"),
        ({"axes": {"batch_size": (8, 16)}, "from_snapshot": 1.0}, "leave from_snapshot out"),
        ({"axes": {"dropout": (0.1,)}}, "such as WideResNet"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(experiment, changes, message):
    with pytest.raises(ValueError, match=message):
        grid(experiment, **changes)


def test_the_exponent_is_bisected():
    values = (1e-5, 1e-3, 1e-4)
    assert bisect("weight_decay", values, 1e-4) == (3.16e-5, 3.16e-4)
    assert bisect("weight_decay", values, 1e-5) == (3.16e-5,)
    assert bisect("weight_decay", (0.0, 1e-6), 1e-6) == ()  # 0 has no exponent
    assert bisect("batch_size", (32, 64, 128), 64) == ()
    assert bisect("weight_decay", (1e-4,), 1e-4) == ()


@given(
    st.lists(st.sampled_from(np.geomspace(1e-7, 10, 60).tolist()), min_size=2, unique=True),
    st.data(),
)
def test_new_values_are_halfway_on_a_logarithmic_axis(values, data):
    best = data.draw(st.sampled_from(values))
    logs = sorted(math.log10(value) for value in values)
    place = sorted(values).index(best)
    neighbours = [logs[i] for i in (place - 1, place + 1) if 0 <= i < len(logs)]
    expected = [(math.log10(best) + neighbour) / 2 for neighbour in neighbours]
    found = [math.log10(value) for value in bisect("lr", values, best)]
    np.testing.assert_allclose(found, expected, atol=math.log10(1.005))


def test_a_momentum_is_bisected_by_what_it_lacks():
    """Over 1 / (1 − m) updates a gradient acts: 10 and 1000 have 100 halfway."""
    assert bisect("momentum", (0.9, 0.999), 0.9) == (0.99,)


def test_refined_cells_lie_on_the_lines_through_the_best(experiment):
    axes = {"weight_decay": (1e-5, 1e-4, 1e-3), "momentum": (0.9, 0.999)}
    whole = grid(experiment, axes=axes)
    cells = whole.cells()
    best = next(c for c in cells if c.values == {"weight_decay": 1e-4, "momentum": 0.9})
    added = [cell.values for cell in whole.refined(cells, best)]
    assert added == [
        {"weight_decay": 3.16e-5, "momentum": 0.9},
        {"weight_decay": 3.16e-4, "momentum": 0.9},
        {"weight_decay": 1e-4, "momentum": 0.99},
    ]
