"""The fastest strategy wins, and a strategy that is chosen by hand is used."""

import dataclasses

import jax
import optax
import pytest

import jaxsched as js
from jaxsched.train import Member
from jaxsched.tune import prepare
from jaxsched.tune.execution import strategy


@pytest.fixture(scope="module")
def members(experiment):
    return [Member(experiment, seed) for seed in (0, 1, 2)]


@pytest.mark.slow
def test_a_short_job_is_run_in_turn_without_trying(members, dataset):
    found = prepare(members, dataset)
    assert (found.strategy, found.size, list(found.seconds)) == ("in_turn", 1, ["in_turn"])


@pytest.mark.slow
def test_of_a_long_job_every_strategy_is_tried_and_the_fastest_wins(members, dataset, monkeypatch):
    monkeypatch.setattr(strategy, "_WORTH_TRYING", float("inf"))
    found = prepare(members, dataset)
    assert set(found.seconds) == {"in_turn", "devices", "vmap"}
    assert found.seconds[found.strategy] == min(found.seconds.values())


@pytest.mark.slow
def test_what_is_chosen_is_done(members, dataset):
    side_by_side, one_a_device = (
        prepare(members, dataset, choice) for choice in ("vmap", "devices")
    )
    assert (side_by_side.size, len(side_by_side.population.driver.devices)) == (3, 1)
    # The experiment asks for one device.
    assert (one_a_device.size, len(one_a_device.population.driver.devices)) == (1, 1)
    assert jax.local_device_count() == 4


@pytest.mark.parametrize(("number", "size"), [(1, 1), (2, 2), (4, 3)])
@pytest.mark.slow
def test_a_number_is_of_devices_with_one_member_each(members, dataset, number, size):
    found = prepare(members, dataset, number)
    assert (found.strategy, found.size) == ("in_turn" if number == 1 else "devices", size)
    assert found.num_devices == size  # of three members, whatever the experiment's num_devices


@pytest.mark.slow
def test_more_devices_than_there_are_are_refused(members, dataset):
    with pytest.raises(ValueError, match="within 1 … 4, the local devices, got at_once=5"):
        prepare(members, dataset, 5)


@pytest.mark.slow
def test_what_has_to_run_alone_is_run_in_turn_unless_told_otherwise(experiment, dataset):
    optimizer = dataclasses.replace(experiment.optimizer, plateau=js.Plateau())
    alone = dataclasses.replace(experiment, optimizer=optimizer)
    members = [Member(alone, seed) for seed in (0, 1)]
    assert prepare(members, dataset).strategy == "in_turn"
    with pytest.raises(ValueError, match="it has a plateau, which observes evaluations"):
        prepare(members, dataset, "vmap")


@pytest.mark.slow
def test_an_optimizer_of_optax_has_members_too(experiment, dataset):
    def lion(rate):
        arguments = {"learning_rate": js.Constant(rate), "b1": 0.9}
        return dataclasses.replace(experiment, optimizer=js.FromOptax(optax.lion, arguments))

    members = [Member(lion(rate), seed) for rate in (1e-3, 1e-4) for seed in (0, 1)]
    found = prepare(members, dataset, "vmap")
    runs = found.population.start(members)
    runs.advance(2)
    assert runs.trace().losses.shape == (4, 2)
