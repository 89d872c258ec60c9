"""The config to fork trains, and is a config that the commands can load."""

from pathlib import Path

from jaxsched.experiment import Experiment, describe
from jaxsched.experiment.files import load_value

PATH = Path(__file__).parents[2] / "experiments" / "own_data_and_network.py"


def test_it_reaches_its_accuracy(load_experiment):
    assert load_experiment("own_data_and_network").main() > 0.91


def test_it_is_a_config():
    experiment = load_value(PATH, "experiment", Experiment)
    assert experiment.name == PATH.stem
    assert describe(experiment)["model"]["width"] == 64
