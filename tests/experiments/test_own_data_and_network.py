"""The config to fork trains, and is a config that the commands can load."""

from pathlib import Path

import pytest
from jaxsched.cli.train import TrainOptions

from jaxsched.cli.options import ExperimentCommand
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
    command = ExperimentCommand(PATH)
    options = command.parse(["--model.module.width", "8"], TrainOptions, "train")
    assert options.experiment.task.model.module.width == 8
    with pytest.raises(SystemExit):
        command.parse(["--help"], TrainOptions, "train")
    assert "--model.module.width" in capsys.readouterr().out
