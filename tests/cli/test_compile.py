"""`jaxsched compile` as a user types it."""

import json

import pytest

from jaxsched.ahead_of_time.programs import DescribedPrograms
from jaxsched.cli import main

CONFIG = """
import flax.linen as nn
import numpy as np
import jaxsched as js
from jaxsched.data import Arrays
from jaxsched.experiment import Experiment
from jaxsched.tasks import MeanSquaredError, Supervised

x = np.ones((100, 48), np.float32)
experiment = Experiment(
    name="linear",
    task=Supervised(
        model=nn.Dense(16),
        data=Arrays((x, x[:, :16]), validation=0.2),
        loss=MeanSquaredError(),
    ),
    phases=(js.Phase(epochs=1, batch_size=16), js.Phase(epochs=1, batch_size=32)),
    optimizer=js.SGD(js.Cosine(0.1, duration=2)),
    num_devices=1,
)
"""
IMAGES = """
import jaxsched as js
from jaxsched.data import ImageFolder
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="images",
    task=ImageClassification(model=CifarResNet(depth=8, width=4), data=ImageFolder("nowhere")),
    phases=(js.Phase(epochs=1, batch_size=32),),
    optimizer=js.SGD(js.Cosine(0.1, duration=1)),
)
"""


def written(folder, text):
    path = folder / "config.py"
    path.write_text(text)
    return str(path)


def fails(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_what_is_compiled_before_an_interrupt_is_kept(tmp_path, capsys, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(DescribedPrograms, "evaluation", interrupted)
    output = tmp_path / "found.json"
    with pytest.raises(SystemExit) as exit_:
        main(["compile", written(tmp_path, CONFIG), "--output", str(output)])
    assert exit_.value.code == 130
    assert capsys.readouterr().out.endswith("interrupted; what was finished is kept\n")
    sizes = [program["batch_size"] for program in json.loads(output.read_text())["programs"]]
    assert sizes == [16, 32]


def test_each_phase_has_its_figures_on_the_terminal_and_as_json(tmp_path, capsys):
    config = written(tmp_path, CONFIG)
    output = tmp_path / "found.json"
    # 1,000 examples are planned for, of which only 80 are there.
    arguments = ["compile", config, "--num-examples", "1000", "--output", str(output)]
    main([*arguments, "--driver", "pmap"])
    printed = capsys.readouterr().out
    found = json.loads(output.read_text())
    first, second, evaluation = found["programs"]
    assert (first["what"], first["batch_size"]) == ("phase 1", 16)
    # Two products an update, of the outputs and of the gradient of the weights.
    assert [one["flops"] for one in (first, second)] == [4 * 16 * 48 * 16, 4 * 32 * 48 * 16]
    assert first["seconds_at_peak"] is None and first["fits"]
    memory = first["memory"]
    # The example's 64 numbers and its place in two epochs' orders; the weights, twice.
    assert 1000 * 4 * (64 + 2) < memory["arguments"] < 1000 * 4 * (64 + 2) + 4 * 4 * 49 * 16
    assert memory["total"] == sum(
        sign * memory[kind]
        for kind, sign in (
            ("arguments", 1), ("outputs", 1), ("aliased", -1), ("temporaries", 1), ("code", 1),
        )
    )  # fmt: skip
    assert evaluation["what"] == "evaluation"
    assert found["training_examples"] == 1000 and found["topology"] == "cpu"
    assert "phase 2: batch size 32, 32 examples a chip" in printed
    assert "driver pmap" in printed and "MFU" not in printed
    tables = printed[printed.index("phase 1: batch") : printed.index("figures in")]
    assert max(map(len, tables.splitlines())) <= 80
    assert "already exists; give another --output" in fails(arguments, capsys)


def test_an_unknown_machine_and_data_of_unknown_shape_are_refused(tmp_path, capsys):
    config = written(tmp_path, IMAGES)
    assert "expected a topology, such as" in fails(
        ["compile", config, "--topology", "v7:2x2", "--workdir", str(tmp_path)], capsys
    )
    error = fails(["compile", config, "--num-examples", "500", "--workdir", str(tmp_path)], capsys)
    assert "ImageFolder tells them by its num_train and num_classes" in error
    assert "at least 1, got 0" in fails(["compile", config, "--num-examples", "0"], capsys)
