"""The plan's arithmetic against brute force, update by update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxsched as js


def walk(phases, num_examples):
    """Every update as (first example, batch size), straight from the definition."""
    updates, example, end = [], 0, 0.0
    for phase in phases:
        end += phase.epochs * num_examples
        while example < round(end):
            updates.append((example, phase.batch_size))
            example += phase.batch_size
    return updates, example


@st.composite
def plans(draw):
    num_examples = draw(st.integers(1, 300))
    phase = st.builds(
        js.Phase,
        # Multiples of 1/8 are exact in floats, so that `walk` may add them up.
        epochs=st.integers(1, 40).map(lambda eighths: eighths / 8),
        batch_size=st.integers(1, num_examples),
    )
    phases = tuple(draw(st.lists(phase, min_size=1, max_size=4)))
    updates, _ = walk(phases, num_examples)
    return js.Plan(phases, num_examples) if updates else js.Plan((js.Phase(1, 1),), num_examples)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(plans())
def test_plan_equals_brute_force(plan):
    updates, end = walk(plan.phases, plan.num_examples)
    steps = jnp.arange(6001)  # one shape for all plans, so that each operation compiles once
    first = np.array([example for example, _ in updates])
    assert plan.total_steps == len(updates)
    assert [plan.examples_at(s) for s in range(len(updates))] == first.tolist()
    assert plan.examples_at(plan.total_steps) == end
    assert [plan.place_at(s) for s in range(len(updates))] == [
        divmod(int(example), plan.num_examples) for example in first
    ]
    assert [plan.batch_size_at(s) for s in range(len(updates))] == [size for _, size in updates]
    epochs = first // plan.num_examples
    epoch_at = np.asarray(plan.epoch_at(steps))[: len(updates)]
    np.testing.assert_array_equal(np.floor(epoch_at), epochs)
    np.testing.assert_allclose(epoch_at, first / plan.num_examples, rtol=2e-7)
    starts = np.diff(epochs, prepend=-1) > 0
    np.testing.assert_array_equal(plan.is_epoch_start(steps)[: len(updates)], starts)


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(0, 2000))
def test_step_at_is_the_first_update_at_or_after_the_example(plan, example):
    updates, end = walk(plan.phases, plan.num_examples)
    later = [step for step, (first, _) in enumerate(updates) if first >= example]
    if later:
        assert plan.step_at(example) == later[0]
    elif example <= end:
        assert plan.step_at(example) == len(updates)


@settings(max_examples=60, deadline=None)
@given(plans())
def test_boundaries_split_the_plan_at_epochs_and_phases_only(plan):
    updates, _ = walk(plan.phases, plan.num_examples)
    phase_ends = {segment.end_step for segment in plan.segments}
    step = 0
    while step < len(updates):
        end = plan.next_boundary(step)
        kinds = {(first // plan.num_examples, size) for first, size in updates[step:end]}
        assert len(kinds) == 1
        # No boundary lies inside an epoch and a phase.
        next_epoch = updates[end][0] // plan.num_examples if end < len(updates) else None
        assert end in phase_ends or next_epoch > updates[step][0] // plan.num_examples
        step = end
    assert step == len(updates)


PUBLISHED = [  # Smith et al., figure 5; the counts of the text are "~80,000", "~29,000", …
    ("decay the learning rate", [(200, 128)], 78_125),
    ("increase the batch", [(60, 128), (60, 640), (40, 3200), (40, 5120)], 29_142),
    ("larger learning rate", [(60, 640), (60, 3200), (80, 5120)], 6_407),
    ("larger momentum", [(60, 3200), (140, 5120)], 2_305),
    ("hybrid", [(60, 128), (140, 640)], 34_376),
]


@pytest.mark.parametrize(
    ("phases", "updates"), [row[1:] for row in PUBLISHED], ids=[row[0] for row in PUBLISHED]
)
def test_update_counts_of_the_batch_size_paper(phases, updates):
    plan = js.Plan(tuple(js.Phase(*phase) for phase in phases), num_examples=50_000)
    assert plan.total_steps == updates


def test_exact_where_32_bits_overflow():
    """ImageNet-21k for 300 epochs: 4.3 billion examples."""
    N = 14_197_122
    plan = js.Plan((js.Phase(100, 1000), js.Phase(200, 4096)), num_examples=N)
    steps = np.unique(np.linspace(0, plan.total_steps - 1, 3001).astype(int))
    boundaries = [plan.step_at(epoch * N) for epoch in range(1, 300)]
    steps = np.concatenate([steps, boundaries, np.array(boundaries) - 1])
    exact = [divmod(plan.examples_at(int(step)), N) for step in steps]
    epoch_at = np.asarray(jax.jit(plan.epoch_at)(jnp.asarray(steps)))
    np.testing.assert_array_equal(np.floor(epoch_at), [epoch for epoch, _ in exact])
    np.testing.assert_allclose(epoch_at, [e + place / N for e, place in exact], rtol=1.2e-7)
    starts = jax.jit(plan.is_epoch_start)(jnp.asarray(boundaries))
    assert starts.all()
    assert not jax.jit(plan.is_epoch_start)(jnp.asarray(boundaries) + 1).any()


def test_a_schedule_in_epochs_changes_at_the_update_that_starts_its_epoch():
    plan = js.Plan((js.Phase(200, 128),), num_examples=50_000)
    lr = plan.schedule(js.MultiStep(0.1, milestones=(60, 120, 160), factor=0.2))
    drops = [plan.step_at(epoch * 50_000) for epoch in (60, 120, 160)]
    assert drops == [23_438, 46_875, 62_500]
    values = lr(jnp.array([d + shift for d in drops for shift in (-1, 0)]))
    np.testing.assert_allclose(values, [0.1, 0.02, 0.02, 0.004, 0.004, 0.0008], rtol=1e-6)


@pytest.mark.parametrize("num_examples", [100, 1493, 50_000])
def test_a_share_of_an_epoch_is_rounded_once(num_examples):
    """Also when compiled, so that a change at epoch 0.8 is at example 80 of 100."""
    plan = js.Plan((js.Phase(3, 1),), num_examples=num_examples)
    steps = np.arange(num_examples)
    ours = jax.jit(plan.epoch_at)(jnp.asarray(steps))
    np.testing.assert_array_equal(ours, (steps / num_examples).astype(np.float32))


def test_every_is_true_at_multiples_but_not_at_zero():
    assert [bool(js.every(3)(step)) for step in range(8)] == [step in (3, 6) for step in range(8)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: js.Phase(0, 128), "epochs above 0, got epochs=0"),
        (lambda: js.Phase(float("inf"), 128), "finite epochs"),
        (lambda: js.Phase(1, 0), "at least 1, got batch_size=0"),
        (lambda: js.Phase(1, 12.5), "whole batch_size"),
        (lambda: js.Plan((), 100), "at least one phase"),
        (lambda: js.Plan((js.Phase(1, 10),), 0), "num_examples=0"),
        (lambda: js.Plan((js.Phase(1, 10),), 2**30), "num_examples=1073741824"),
        (lambda: js.Plan((js.Phase(1, 200),), 100), "use batch_size=100 or less"),
        (lambda: js.Plan((js.Phase(1e-9, 10),), 100), "long enough for one update"),
        (lambda: js.Plan((js.Phase(1, 10),), 100).examples_at(-1), "at least 0, got -1"),
        (lambda: js.every(0), "got n=0"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        make()
