"""Which way of running members wins, and that what is chosen by hand is done."""

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


def test_a_short_job_is_run_in_turn_without_trying(members, dataset):
    found = prepare(members, dataset)
    assert (found.way, found.size, list(found.seconds)) == ("in_turn", 1, ["in_turn"])


@pytest.mark.slow
def test_of_a_long_job_every_way_is_tried_and_the_fastest_wins(members, dataset, monkeypatch):
    monkeypatch.setattr(strategy, "_WORTH_TRYING", float("inf"))
    found = prepare(members, dataset)
    assert set(found.seconds) == {"in_turn", "devices", "vmap"}
    assert found.seconds[found.way] == min(found.seconds.values())


@pytest.mark.slow
def test_what_is_chosen_is_done(members, dataset):
    side_by_side, one_a_device = (prepare(members, dataset, way) for way in ("vmap", "devices"))
    assert (side_by_side.size, len(side_by_side.cohort.driver.devices)) == (3, 1)
    # The experiment asks for one device.
    assert (one_a_device.size, len(one_a_device.cohort.driver.devices)) == (1, 1)
    assert jax.local_device_count() == 4


def test_what_has_to_run_alone_is_run_in_turn_unless_told_otherwise(experiment, dataset):
    optimizer = dataclasses.replace(experiment.optimizer, plateau=js.Plateau())
    alone = dataclasses.replace(experiment, optimizer=optimizer)
    members = [Member(alone, seed) for seed in (0, 1)]
    assert prepare(members, dataset).way == "in_turn"
    with pytest.raises(ValueError, match="it has a plateau, which observes evaluations"):
        prepare(members, dataset, "vmap")


@pytest.mark.slow
def test_an_optimizer_of_optax_has_members_too(experiment, dataset):
    def lion(rate):
        arguments = {"learning_rate": js.Constant(rate), "b1": 0.9}
        return dataclasses.replace(experiment, optimizer=js.FromOptax(optax.lion, arguments))

    members = [Member(lion(rate), seed) for rate in (1e-3, 1e-4) for seed in (0, 1)]
    found = prepare(members, dataset, "vmap")
    runs = found.cohort.start(members)
    runs.advance(2)
    assert runs.trace().losses.shape == (4, 2)
