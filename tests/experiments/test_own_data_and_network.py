"""The config to fork trains, and is a config that the commands can load."""

from pathlib import Path

import pytest

from jaxsched.cli.commands.train import Train
from jaxsched.cli.options import parse
from jaxsched.experiment import Experiment, describe
from jaxsched.experiment.files import load_value

PATH = Path(__file__).parents[2] / "experiments" / "own_data_and_network.py"


def test_it_reaches_its_accuracy(load_experiment):
    assert load_experiment("own_data_and_network").main() > 0.91


def test_it_is_a_config():
    experiment = load_value(PATH, "experiment", Experiment)
    assert experiment.name == PATH.stem
    assert describe(experiment)["model"]["module"]["width"] == 64


def test_the_command_sets_the_module_s_fields_and_its_help_names_them(capsys):
    given = parse(Train, "train", PATH, ["--model.module.width", "8"])
    assert given.experiment.task.model.module.width == 8
    with pytest.raises(SystemExit):
        parse(Train, "train", PATH, ["--help"])
    assert "--model.module.width" in capsys.readouterr().out
