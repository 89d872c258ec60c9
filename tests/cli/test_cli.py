"""The command as a user types it, good and bad."""

import csv
import dataclasses
import inspect
import io
import json
import math
import pwd
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from jaxsched.cli import home, main
from jaxsched.cli.command_line import COMMANDS, class_of

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG = """
import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="tiny",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=64, num_test=32),
    ),
    phases=(js.Phase(epochs=1, batch_size=16),),
    optimizer=js.SGD(js.OneCycle(0.1, duration=1)),
    num_devices=1,
)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def fails(arguments, capsys, code=2):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    assert exit_.value.code == code
    output = capsys.readouterr()
    # the terminal wraps lines and frames them
    return " ".join((output.err + output.out).replace("│", " ").split())


def test_train_with_overrides_writes_a_record_of_what_ran(config, tmp_path, capsys):
    main(
        f"train {config} --optimizer.lr.peak 0.3 --seed 5 --phases.0.epochs 2 "
        f"--model.norm.ghost 8 --workdir {tmp_path / 'out'} --log tensorboard".split()
    )
    (record,) = (tmp_path / "out").glob("tiny-*-seed5.jsonl")
    header, *rows, end = map(json.loads, record.read_text().splitlines())
    assert header["config"]["optimizer"]["lr"]["peak"] == 0.3
    assert header["config"]["phases"][0]["epochs"] == 2
    assert header["config"]["model"]["norm"]["ghost"] == 8
    assert header["source"] == CONFIG
    assert [row["step"] for row in rows] == [4, 8]
    assert end["status"] == "finished"
    output = capsys.readouterr().out
    assert "tiny: 8 updates" in output and "finished; record in" in output
    # Its folder holds the same numbers for a spreadsheet, a picture, and what was logged live.
    folder = record.with_suffix("")
    with (folder / "evaluations.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    columns = ("step", "learning_rate", "train_loss", "test_accuracy", "squared_norm")
    assert [[float(line[c]) for c in columns] for line in table] == [
        [row[c] for c in columns] for row in rows
    ]
    height, width, _ = imread(folder / "curves.png").shape
    assert width == 1500 and height > 900
    assert f"curves: {folder / 'curves.png'}" in output
    assert len(list(folder.glob("*tfevents*"))) == 1


def test_without_matplotlib_the_curves_are_a_table_alone(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    main(f"train {config} --seed 6 --workdir {tmp_path}".split())
    (table,) = tmp_path.glob("tiny-*-seed6/evaluations.csv")
    assert len(table.read_text().splitlines()) == 2
    assert not table.with_name("curves.png").exists()
    output = " ".join(capsys.readouterr().out.split())
    assert output.count("a picture of them needs matplotlib, which the extra [plot] brings") == 1
    assert f"curves: {table}" in output


@pytest.mark.slow
def test_a_finished_run_is_not_overwritten(config, tmp_path, capsys):
    arguments = ["train", str(config), "--workdir", str(tmp_path)]
    main(arguments)
    (record,) = tmp_path.glob("tiny-*.jsonl")
    before = record.read_bytes()
    assert "holds a finished run; make it again with --overwrite" in fails(arguments, capsys)
    assert record.read_bytes() == before
    main([*arguments, "--overwrite", "--quiet"])
    assert capsys.readouterr().out == ""
    assert record.read_bytes() != before
    (kept,) = tmp_path.glob("set-aside/*/tiny-*.jsonl")
    assert kept.read_bytes() == before and list(kept.with_suffix("").iterdir())


@pytest.mark.slow
def test_the_largest_batch_is_found_and_some_updates_are_traced(config, tmp_path, capsys):
    text = f"train {config} --batch-size max --phases.0.epochs 4 --profile 1 3 --workdir {tmp_path}"
    main(text.split())
    output = capsys.readouterr().out
    assert "batch size 64, the largest that fits" in output  # of 64 examples
    assert "examples/s), evaluated in" in output and "GB (process)" in output
    (record,) = tmp_path.glob("tiny-*.jsonl")
    header, *rows, _ = map(json.loads, record.read_text().splitlines())
    assert header["config"]["phases"][0]["batch_size"] == 64
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert list(record.with_suffix(".profile").rglob("perfetto_trace.json.gz"))


def test_the_largest_batch_of_several_phases_is_refused(tmp_path, capsys):
    path = tmp_path / "two.py"
    phase = "js.Phase(epochs=1, batch_size=16),"
    path.write_text(CONFIG.replace(phase, phase + phase))
    output = fails(["train", path, "--batch-size", "max"], capsys)
    assert "--batch-size max needs an experiment of one phase, got 2" in output


def test_an_unknown_field_names_the_nearest_one(config, capsys):
    output = fails(["train", config, "--optimizer.lr.peek", "0.3"], capsys)
    assert "--optimizer.lr.peek" in output and "--optimizer.lr.peak" in output


def test_a_value_of_the_wrong_kind_is_refused(config, capsys):
    assert "--seed" in fails(["train", config, "--seed", "many"], capsys)
    assert "Expected one of ('tensorboard', 'wandb')" in fails(
        ["train", config, "--log", "csv"], capsys
    )
    assert "invalid choice 'tpu'" in fails(["train", config, "--driver", "tpu"], capsys)
    assert "batch_size=640" in fails(["train", config, "--phases.0.batch-size", "640"], capsys)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("js.OneCycle(0.1", "js.OnCycle(0.1", "tiny.py, line 15: AttributeError: module"),
        ("batch_size=16", "batch_size=", "tiny.py, line 14: SyntaxError"),
        ("batch_size=16", "batch_size=0", "tiny.py, line 14: ValueError: Phase needs"),
        ("experiment =", "experimant =", "under the name 'experiment', found no such name"),
        ("experiment = Experiment(", "experiment = dict(", "found a dict; write `experiment ="),
    ],
)
def test_an_error_in_the_config_file_shows_its_line(config, capsys, old, new, message):
    config.write_text(CONFIG.replace(old, new))
    output = fails(["train", config], capsys)
    assert message in output
    assert "Traceback" not in output


def test_a_message_is_shown_as_it_is_brackets_and_all(config, capsys):
    config.write_text(CONFIG.replace("js.OneCycle(0.1, duration=1)", "'[bold]/tmp[/x]'"))
    assert "got '[bold]/tmp[/x]'" in fails(["train", config], capsys)


def test_files_that_are_not_there(tmp_path, capsys):
    assert "does not exist" in fails(["train", tmp_path / "no.py"], capsys)
    assert "does not exist" in fails(["bench", tmp_path / "no.py"], capsys)
    (tmp_path / "notes.txt").write_text("")
    assert "ending in .py" in fails(["train", tmp_path / "notes.txt"], capsys)


def test_plot_draws_several_configs_before_anything_is_trained(config, tmp_path, capsys):
    other = tmp_path / "other.py"
    other.write_text(CONFIG.replace("js.OneCycle(0.1,", "js.Cosine(0.2,"))
    main(["plot", str(config), str(other), "--output", str(tmp_path / "plot.png")])
    output = capsys.readouterr().out
    assert "learning rate" in output and "noise scale" in output
    assert "tiny" in output and "other" in output  # both have the name "tiny": told apart
    assert "batch size: 16 throughout" in output
    assert np.ptp(imread(tmp_path / "plot.png")) > 0.9  # ink on paper


@pytest.mark.slow
def test_plot_needs_no_data_and_writes_where_the_run_will_be(tmp_path, monkeypatch, capsys):
    """The updates are those of the run: 90 epochs of 1,281,167 images at 8,192 and 16,384."""
    monkeypatch.setenv("COLUMNS", "70")
    fields = ["--data.folder", "/nowhere", "--optimizer.weight-decay.value", "1e-5"]
    both = [str(CONFIGS / f"imagenet_resnet50{name}.py") for name in ("", "_batch")]
    main(["plot", *fields, *both, "--workdir", str(tmp_path)])
    output = capsys.readouterr().out
    updates = math.ceil(90 * 1_281_167 / 8192)
    assert f"imagenet_resnet50: {updates:,} updates" in output and "9,384 updates" in output
    assert output.count("weight_decay = Constant(value=1e-05)") == 2
    plots = [line for line in output.splitlines() if set(line) & set("┌│└")]
    assert max(map(len, plots)) == 70
    (together,) = tmp_path.iterdir()
    first = together.read_bytes()
    main(["plot", both[0], *fields, "--num-examples", "8192", "--workdir", str(tmp_path)])
    assert "imagenet_resnet50: 90 updates" in capsys.readouterr().out
    (alone,) = tmp_path.glob("imagenet_resnet50-*-seed0/schedules-8192.png")
    assert together.read_bytes() == first and alone.exists()


def test_plot_says_what_it_lacks_and_keeps_what_is_there(config, tmp_path, capsys):
    lacking = tmp_path / "lacking.py"
    source = "TextFiles('/nowhere')"
    lacking.write_text(
        CONFIG.replace("import Synthetic", "import TextFiles").replace(
            "Synthetic(num_train=64, num_test=32)", source
        )
    )
    assert "--num-examples N draws it without" in fails(["plot", lacking], capsys)
    assert "at least 1, got 0" in fails(["plot", config, "--num-examples", 0], capsys)
    output = tmp_path / "mine.png"
    output.write_text("mine")
    arguments = ["plot", str(config), "--output", str(output)]
    assert "mine.png already exists; give another --output, or" in fails(arguments, capsys)
    assert output.read_text() == "mine"
    main([*arguments, "--overwrite"])
    (kept,) = tmp_path.glob("set-aside/*/mine.png")
    assert kept.read_text() == "mine" and np.ptp(imread(output)) > 0.9


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_plan_keeps_its_names_and_numbers_whole(columns, config, tmp_path, monkeypatch, capsys):
    name = "an_experiment_whose_name_is_longer_than_forty_columns"
    monkeypatch.setenv("COLUMNS", str(columns))
    main(
        [
            "plot",
            str(config),
            "--name",
            name,
            "--phases.0.epochs",
            "1e6",
            "--workdir",
            str(tmp_path),
        ]
    )
    plan = capsys.readouterr().out.partition("lr = ")[0]
    words = set(plan.split())
    assert {f"{name}:", "4,000,000", "first", "learning"} <= words and "…" not in plan
    assert max(len(line) for line in plan.splitlines() if name not in line) <= columns


@pytest.mark.slow
def test_diagnose_says_whether_the_norm_bounces_and_does_not_run_twice(config, tmp_path, capsys):
    arguments = f"diagnose {config} --workdir {tmp_path / 'out'} --epochs 4".split()
    decay = ["--optimizer.weight-decay.value", "0.5"]
    main([*arguments, *decay])
    output = capsys.readouterr().out
    assert "tiny_diagnosis: 16 updates" in output
    assert "lr = Constant(value=0.0" in output  # the highest rate of the cycle's four updates
    assert "Up to epoch 4, |w|² fell by" in output and "Not decided: it may still turn." in output
    (record,) = (tmp_path / "out").glob("tiny_diagnosis-*.jsonl")
    (plot,) = (tmp_path / "out").glob("tiny_diagnosis-*.png")
    assert np.ptp(imread(plot)) > 0.9  # ink on paper
    header, *rows, _ = map(json.loads, record.read_text().splitlines())
    assert (
        set(header["initial_layers"])
        == set(rows[0]["layers"])
        == {*rows[0]["norm_change"]["decay"]}
    )
    written = record.stat().st_mtime_ns
    main([*arguments, *decay])
    assert record.stat().st_mtime_ns == written

    main(arguments)
    assert "no weight decay, and without it no bounce" in capsys.readouterr().out


def test_stateful_transformations_are_shown_with_the_plan(config, capsys):
    config.write_text(
        CONFIG.replace("js.SGD(js.OneCycle(0.1, duration=1)", "js.SGD(0.1, abel=js.Abel()").replace(
            "epochs=1,", "epochs=5,"
        )
    )
    main(["plot", str(config), "--output", str(config.with_suffix(".png"))])
    assert "abel = Abel(decay_factor=0.1, last_decay='85%'" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_lists_its_options_without_a_config(command, capsys):
    output = fails([command, "--help"], capsys, code=0)
    for name in (field.name for field in dataclasses.fields(class_of(command))):
        is_positional = name in ("study", "paths", "configs", "measurements")
        assert is_positional or f"--{name.replace('_', '-')}" in output
    assert inspect.getdoc(class_of(command)).splitlines()[0] in output
    takes_fields = "CONFIG --help` lists them" in output or "one_cycle.py --help` lists" in output
    assert takes_fields == (command not in ("bench", "report", "algoperf"))


def test_help_of_a_config_lists_every_field(config, capsys):
    output = fails(["train", config, "--help"], capsys, code=0)
    for field in ("--optimizer.lr.peak", "--phases.0.batch-size", "--model.width", "--seed"):
        assert field in output


def test_a_run_that_diverges_has_an_exit_status_of_its_own(config, tmp_path, capsys):
    """What is odd in its times is said and kept."""
    changes = "--optimizer.lr.peak 1e38 --optimizer.lr.duration 99"
    output = fails(f"train {config} {changes} --workdir {tmp_path}".split(), capsys, code=3)
    assert "note: lr: OneCycle" in output and "diverged at update" in output
    assert "jaxsched range-test" in output.splitlines()[-1]
    (record,) = tmp_path.glob("tiny-*.jsonl")
    (sentence,) = json.loads(record.read_text().splitlines()[0])["misfits"]
    assert sentence in output


def test_the_exit_statuses_are_in_the_help(capsys):
    assert "3 the run of `train` diverged" in fails(["--help"], capsys, code=0)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_cannot_encode_is_replaced(config, tmp_path, monkeypatch, encoding):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    main(["plot", str(config), "--output", str(tmp_path / "plot.png")])
    for arguments in (
        ["--help"],
        ["train", str(config), "--help"],
        *([c, "--help"] for c in COMMANDS),
    ):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    text = out.buffer.getvalue().decode(encoding)
    assert "0.004 -> 0.0" in text and "+++" in text  # the learning rates, and their curve


def test_the_home_folder_is_expanded_and_may_be_missing(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    main(["plot", f"~/{config.name}", "--output=~/plot.png"])
    assert (tmp_path / "plot.png").exists()

    def nobody(user):
        raise KeyError(user)

    monkeypatch.setattr(home, "_stand_ins", [])
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")
    main(["plot", str(config), "--output", str(tmp_path / "other.png")])
    assert (tmp_path / "other.png").exists()
    output = fails(["train", config, "--workdir=~/runs"], capsys)
    home._stand_ins[0].cleanup()
    assert "got ~/runs, whose home folder is not known; write the whole path" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_path_is_parsed_in_one_place(command):
    """A bare `Path` would leave `~` to the shell, which does not expand `--workdir=~/runs`."""
    for hint in typing.get_type_hints(class_of(command), include_extras=True).values():
        assert Path not in {hint, *typing.get_args(hint)} or "Primitive" in str(hint), hint
