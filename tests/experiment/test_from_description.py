"""Experiments made again from their descriptions, those of real records among them."""

import dataclasses
import json
from pathlib import Path

import optax
import pytest

import jaxsched as js
from jaxsched.bench import load_study
from jaxsched.data import Digits
from jaxsched.experiment import Experiment, describe, load_value, rebuild, with_value
from jaxsched.experiment.from_description import describe_dataset, rebuild_dataset
from jaxsched.models import ResNet
from jaxsched.tracking import read_record

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# Of every study the first record, whose experiments have many kinds of parts; those of loops of
# one's own have none.
FIRST = {path.parent: path for path in (ROOT / "experiments/results").rglob("*seed0.jsonl")}
RECORDS = sorted(p for p in FIRST.values() if '"type": "Experiment"' in p.read_text())


def as_json(experiment):
    return json.loads(json.dumps(describe(experiment)))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_comes_back(path):
    experiment = load_value(path, "experiment", Experiment)
    assert rebuild(as_json(experiment)) == experiment


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_every_recorded_experiment_comes_back(path):
    config = read_record(path).header["config"]
    made = as_json(rebuild(config))
    assert made["optimizer"]["lr"]["type"] == config["optimizer"]["lr"]["type"]
    assert len(RECORDS) > 5


# The first lines of four records of an earlier study.
BEFORE = Path(__file__).with_name("before_stats_memory")


def test_a_record_from_before_the_choice_is_of_a_run_that_remembered_updates():
    """So it is made again as it was, with the digest that it has; a new run has another one."""
    paths = sorted(BEFORE.glob("*.jsonl"))
    assert len(paths) == 4
    for path in paths:
        header = read_record(path).header
        assert "stats_memory" not in header["config"]
        again = rebuild(header["config"])
        assert again.stats_memory == "updates" and again.digest() == header["digest"]
        anew = dataclasses.replace(again, stats_memory="examples")
        assert anew.remembers_examples and not again.remembers_examples
        assert as_json(anew)["stats_memory"] == "examples" and rebuild(as_json(anew)) == anew
        without = {name: value for name, value in as_json(anew).items() if name != "stats_memory"}
        assert without == as_json(again)
        assert anew.digest() != again.digest()


def test_the_committed_study_still_has_the_digests_of_its_records():
    records = (ROOT / "experiments/results/batch_growth/records").glob("*seed0.jsonl")
    recorded = {read_record(path).header["digest"] for path in records}
    study = load_study(ROOT / "experiments/studies/dont_decay.py")
    growing = [run for run in study.experiments if run.batch_growth or len(run.phases) > 1]
    assert len(growing) == 12 and {run.digest() for run in growing} < recorded


def test_the_memory_of_statistics_is_described_where_batches_grow_alone(experiment):
    one_size = dataclasses.replace(experiment, phases=(js.Phase(1, 16), js.Phase(1, 16)))
    digests = {
        dataclasses.replace(one_size, stats_memory=memory).digest()
        for memory in ("examples", "updates")
    }
    assert len(digests) == 1 and "stats_memory" not in as_json(one_size)
    assert as_json(experiment)["stats_memory"] == "examples"  # 16, then 24


def test_functions_infinities_and_arguments_come_back(experiment):
    optimizers = [
        js.FromOptax(optax.lion, {"learning_rate": js.Cosine(1e-4, 2), "b1": 0.95}),
        js.SGD(js.Interpolate(((0.0, 0.1), (1.0, 0.2))), lr_factors=(("head", 2.0),)),
        js.AdamW(1e-3, averaging=js.Swag(rank=3), plateau=js.Plateau("test_accuracy")),
    ]
    for optimizer in optimizers:
        changed = dataclasses.replace(experiment, optimizer=optimizer, seed=5)
        assert rebuild(as_json(changed)) == changed
        assert rebuild(as_json(changed)).digest() == changed.digest()


@dataclasses.dataclass(frozen=True)
class OwnNetwork(ResNet):
    """A network that no other module defines."""

    own: float = 1.0


def test_a_data_set_comes_back_without_its_examples():
    dataset = Digits().load()
    made = rebuild_dataset(json.loads(json.dumps(describe_dataset(dataset))))
    assert (made.class_names, made.mean, made.std) == (
        dataset.class_names,
        dataset.mean,
        dataset.std,
    )
    for ours, theirs in (made.train, dataset.train), (made.test, dataset.test):
        assert (len(ours), ours.elements) == (len(theirs), theirs.elements)
    with pytest.raises(ValueError, match="the examples of this data set are not there"):
        made.test.read(0, None)
    assert describe_dataset(dataclasses.replace(dataset, name=object())) is None


def test_an_own_network_has_to_be_imported_and_unchanged(experiment):
    own = with_value(experiment, "model", OwnNetwork(stages=(1,), width=2))
    description = as_json(own)
    assert rebuild(description) == own
    description["model"]["type"] = "NoNetwork"
    with pytest.raises(ValueError, match=r"model: expected one imported dataclass NoNetwork.*none"):
        rebuild(description)
    description["model"] |= {"type": "OwnNetwork", "once": 3}
    with pytest.raises(ValueError, match=r"model: OwnNetwork has no field 'once' any more"):
        rebuild(description)


def test_a_function_that_is_not_there_or_is_another_now_is_named(experiment):
    def schedule(epoch):
        return 0.1

    local = dataclasses.replace(experiment, optimizer=js.SGD(schedule))
    with pytest.raises(ValueError, match=r"optimizer\.lr\..*give the experiment as experiment="):
        rebuild(as_json(local))
    description = as_json(dataclasses.replace(experiment, optimizer=js.SGD(_rate)))
    assert rebuild(description).optimizer == js.SGD(_rate)
    text = json.dumps(description).replace(describe(_rate), "tests.nothing:f@12345678")
    with pytest.raises(ValueError, match=r"the function f of the imported module tests\.nothing"):
        rebuild(json.loads(text))
    text = json.dumps(description).replace(describe(_rate)[-8:], "12345678")
    with pytest.raises(ValueError, match="cannot be made again from its description, because"):
        rebuild(json.loads(text))


def _rate(epoch):
    return 0.1 + 0 * epoch
