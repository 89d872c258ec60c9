"""Runs that share a program, one after another and at once, against each of them alone."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Streamed, Synthetic
from jaxsched.train import Member, MembersDriver, Population, Program, train
from jaxsched.train.population.members import why_alone


def with_optimizer(experiment, **changes):
    optimizer = dataclasses.replace(experiment.optimizer, **changes)
    return dataclasses.replace(experiment, optimizer=optimizer)


@pytest.fixture(scope="module")
def one_phase(experiment):
    return dataclasses.replace(experiment, phases=(js.Phase(epochs=2, batch_size=16),))


@pytest.fixture(scope="module")
def experiments(one_phase):
    """Learning rates, momenta and weight decays differ.

    Some are 0: a run alone then has no such link in its chain, the shared program has one.
    """
    return (
        one_phase,
        with_optimizer(one_phase, lr=js.Cosine(0.3, duration=3), weight_decay=0.0),
        with_optimizer(one_phase, momentum=0.0, weight_decay=1e-2),
    )


@pytest.fixture(scope="module")
def alone(experiments):
    """Rows and last parameters of each experiment, by a program of its own."""
    return [run(Program(one, one.task.data.load()), seed=1) for one in experiments]


def run(program, seed):
    rows = []
    outcome = train(program, seed, on_evaluation=rows.append)
    return rows, jax.device_get(outcome.state.params)


def difference(tree, other):
    return max(jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), tree, other)))


@pytest.mark.slow
@pytest.mark.parametrize(("driver", "num_devices"), [("jit", 1), ("pmap", 2)])
def test_one_program_runs_each_member_as_its_own_program_would(
    experiments, alone, driver, num_devices
):
    members = [dataclasses.replace(e, driver=driver, num_devices=num_devices) for e in experiments]
    program = Program(members[0], members[0].task.data.load(), alike=members[1:])
    for experiment, (rows, params) in zip(members, alone, strict=True):
        found, found_params = run(program.member(experiment), seed=1)
        exact = num_devices == 1
        np.testing.assert_allclose(
            [row.test_loss for row in found],
            [row.test_loss for row in rows],
            rtol=0 if exact else 1e-3,
        )
        assert difference(found_params, params) <= (0 if exact else 1e-3)
        assert found[-1].weight_decay == pytest.approx(rows[-1].weight_decay)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "per_device"), [(2, 1), (1, 3)])
def test_members_trained_at_once_equal_their_runs_alone(experiments, alone, devices, per_device):
    members = [Member(experiment, 1) for experiment in experiments]
    driver = MembersDriver(jax.devices()[:devices], per_device)
    population = Population(members, experiments[0].task.data.load(), driver)
    at_once = driver.num_members
    for first in range(0, len(members), at_once):
        chosen = slice(first, first + at_once)
        runs = population.start(members[chosen])
        for number, mark in enumerate(row.step for row in alone[0][0]):
            runs.advance(mark)
            # Convolutions of several members are grouped ones, which XLA adds in another order.
            tolerance = {"rtol": 0, "atol": 0} if per_device == 1 else {"rtol": 5e-3, "atol": 5e-3}
            expected = [rows[number].test_loss for rows, _ in alone[chosen]]
            np.testing.assert_allclose(
                [sums.mean_loss for sums in runs.evaluate()], expected, **tolerance
            )
        for number, (rows, params) in enumerate(alone[chosen]):
            assert difference(runs.state(number).params, params) <= tolerance["atol"]
            losses = runs.trace().losses[number]
            ends = [0, *(row.step for row in rows)]
            means = [losses[a:b].mean() for a, b in itertools.pairwise(ends)]
            expected = [row.train_loss for row in rows]
            np.testing.assert_allclose(means, expected, rtol=max(tolerance["rtol"], 1e-6))


@pytest.mark.slow
def test_members_of_two_seeds_are_two_runs(one_phase):
    members = [Member(one_phase, seed) for seed in (3, 4)]
    dataset = one_phase.task.data.load()
    runs = Population(members, dataset, MembersDriver(jax.devices()[:1], 2)).start(members)
    runs.advance(8)
    program = Program(one_phase, dataset)
    for member, losses in zip(members, runs.trace().losses, strict=True):
        _, sums = program.update(
            program.init(member.seed), program.zero_sums(), seed=member.seed, step=0, count=7
        )
        expected = jax.device_get(sums).metrics.mean_loss
        assert losses[:7].mean() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("devices", "per_device"), [pytest.param(2, 1, marks=pytest.mark.slow), (1, 2)]
)
@pytest.mark.slow
def test_a_member_that_diverges_does_not_touch_the_others(one_phase, devices, per_device):
    members = [Member(one_phase, 1), Member(with_optimizer(one_phase, lr=js.Cosine(1e30, 3)), 1)]
    twice = [members[0], Member(with_optimizer(one_phase, lr=js.Cosine(0.2, 3)), 1)]
    losses = []
    for pair in (members, twice):
        driver = MembersDriver(jax.devices()[:devices], per_device)
        runs = Population(pair, one_phase.task.data.load(), driver).start(pair)
        runs.advance(13)
        losses.append(runs.trace().losses)
    diverged, beside_another = losses
    assert not np.isfinite(diverged[1]).all()
    np.testing.assert_array_equal(diverged[0], beside_another[0])


@pytest.mark.slow
def test_members_start_from_a_state_that_one_of_them_reached(experiments):
    members, dataset = [Member(e, 1) for e in experiments], experiments[0].task.data.load()
    population = Population(members, dataset, MembersDriver(jax.devices()[:1]))
    whole, first = population.start(members[:1]), population.start(members[:1])
    whole.advance(13)
    first.advance(6)
    resumed = population.start(members[:1], first.state(0))
    assert resumed.step == 6
    resumed.advance(13)
    np.testing.assert_array_equal(whole.trace().losses[:, 6:], resumed.trace().losses[:, 6:])
    assert np.isnan(resumed.trace().losses[:, :6]).all()
    other = population.start(members[1:2], first.state(0))
    other.advance(13)
    assert (other.trace().losses[:, 7:] != whole.trace().losses[:, 7:]).all()


def test_an_experiment_that_cannot_be_a_member_is_refused_with_the_reason(one_phase):
    dataset = one_phase.task.data.load()
    assert why_alone(one_phase, dataset) == ""
    plateau = with_optimizer(one_phase, plateau=js.Plateau())
    assert "plateau" in why_alone(plateau, dataset)
    streamed = Streamed(Synthetic(num_train=100, num_test=50, num_classes=4))
    reason = "its data is streamed"
    assert why_alone(one_phase.with_task(data=streamed), streamed.load()) == reason
    with pytest.raises(ValueError, match="it has a plateau, which observes evaluations; run it"):
        Population([Member(plateau, 0)], dataset, MembersDriver(jax.devices()[:1]))
