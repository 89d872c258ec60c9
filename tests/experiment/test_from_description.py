"""Experiments made again from their descriptions, those of real records among them."""

import dataclasses
import json
from pathlib import Path

import optax
import pytest

import jaxsched as js
from jaxsched.data import Digits
from jaxsched.experiment import Experiment, describe, load_value, rebuild, with_value
from jaxsched.experiment.from_description import describe_dataset, rebuild_dataset
from jaxsched.models import ResNet
from jaxsched.tracking import read_record

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# Of every study the first record, whose experiments have many kinds of parts.
RECORDS = sorted(
    {path.parent: path for path in (ROOT / "experiments/results").rglob("*seed0.jsonl")}.values()
)


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
