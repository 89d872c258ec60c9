"""The commands on a language model, as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxsched.cli import main
from jaxsched.train import load_run, saved_steps

CONFIG = """
import jaxsched as js
from jaxsched.data import TextFiles
from jaxsched.experiment import Experiment
from jaxsched.models import Transformer
from jaxsched.tasks import LanguageModel

experiment = Experiment(
    name="wood",
    task=LanguageModel(Transformer(depth=1, width=8, heads=2), TextFiles("texts", context=8)),
    phases=(js.Phase(epochs=12, batch_size=8),),
    optimizer=js.AdamW(
        js.Warmup(js.Linear(0.02, 0.0, "100%"), "5 updates"),
        weight_decay=0.1,
        decay_mask="kernels",
        abel=js.Abel(0.5),
        plateau=js.Plateau("test_loss", patience=2),
        averaging=js.Averaging(start="50%"),
    ),
    weight_norms=True,
    num_devices=1,
)
"""
STUDY = """
import dataclasses
from pathlib import Path
import jaxsched as js
from jaxsched.bench import Study
from jaxsched.experiment import load_module

late = dataclasses.replace(load_module(Path("wood.py")).experiment, name="late")
early = dataclasses.replace(
    late, name="early", optimizer=dataclasses.replace(late.optimizer, lr=js.Constant(0.02))
)
study = Study(
    name="woods", experiments=(late, early), seeds=(0, 1), target=3.2, metric="test_loss"
)
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "wood.txt").write_text("how much wood would a woodchuck chuck? " * 20)
    (tmp_path / "wood.py").write_text(CONFIG)
    (tmp_path / "study.py").write_text(STUDY)
    schedule = 'js.Warmup(js.Linear(0.02, 0.0, "100%"), "5 updates")'
    (tmp_path / "early.py").write_text(CONFIG.replace(schedule, "js.Constant(0.02)"))
    return "wood.py"


def rows(folder):
    """The record's evaluations without times and memory, which always differ."""
    (record,) = folder.glob("wood-*.jsonl")
    vary = ("_seconds", "_per_second", "peak_memory", "compilations", "crc32")
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    return [
        {name: value for name, value in entry.items() if not name.endswith(vary)}
        for entry in entries
        if "step" in entry
    ]


@pytest.mark.slow
def test_a_run_is_killed_and_goes_on_bit_for_bit(config, tmp_path):
    """With ABEL, plateau, an average of the weights and the norm of each layer."""
    command = [
        sys.executable,
        "-m",
        "jaxsched.cli",
        "train",
        config,
        "--checkpoint-minutes",
        "1e-3",
    ]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "True"}
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, "--workdir", "killed"], env=environment)
    deadline = time.monotonic() + 240
    while not any(
        max(saved_steps(p), default=-1) > 20 for p in killed.glob("wood-*") if p.is_dir()
    ):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    subprocess.run([*command, "--workdir", "killed", "--resume"], env=environment, check=True)
    subprocess.run([*command, "--workdir", "whole"], env=environment, check=True)
    whole = rows(tmp_path / "whole")
    assert rows(killed) == whole
    last = whole[-1]
    assert last["averaged_test_bits_per_byte"] == pytest.approx(
        last["averaged_test_loss"] / 0.693147, rel=1e-5
    )
    assert last["averaged_test_loss"] != last["test_loss"]
    assert last["abel"]["num_measurements"] == 11
    assert last["layers"]["block1/attention/query"] > 0
    # What was trained gives that very loss.
    (record,) = killed.glob("wood-*.jsonl")
    trained = load_run(record)
    tokens = trained.experiment.task.data.load().test.tokens
    targets = tokens[:, 1:, None].astype(int)
    nats = -np.take_along_axis(trained.predict(tokens), targets, axis=-1)
    assert nats.mean() == pytest.approx(last["test_loss"], rel=1e-5)


@pytest.mark.slow
def test_every_command_takes_it(config, tmp_path):
    changes = ["--model.depth", "2", "--data.context", "9", "--phases.0.epochs", "1"]
    main(["train", config, "--workdir", "trained", *changes])
    (record,) = (tmp_path / "trained").glob("wood-*.jsonl")
    header = json.loads(record.read_text().partition("\n")[0])
    assert header["config"]["task"] == "LanguageModel"
    assert header["config"]["model"]["depth"] == 2
    assert (header["config"]["data"]["context"], header["main_metric"]) == (9, "bits_per_byte")
    main(["plot", config, "--output", "plot.png"])
    assert (tmp_path / "plot.png").exists()
    main(["range-test", config, "--low", "1e-4", "--high", "1", "--updates", "60", "--seeds", "0"])
    (folder,) = (tmp_path / "runs" / "range-test").iterdir()
    assert json.loads((folder / "range_test.json").read_text())["rules"]
    main(["grid", "early.py", "--lr", "0.01", "0.02", "--epochs", "2", "--seeds", "0", "1"])
    grid = json.loads((tmp_path / "runs" / "grid" / "wood" / "grid.json").read_text())
    assert (grid["evaluated_on"], grid["best"]["lr"]) == ("validation", 0.02)
    main(["diagnose", config])
    assert list((tmp_path / "runs" / "diagnose").glob("wood_diagnosis-*.png"))
    main(["bench", "study.py"])
    summary = json.loads((tmp_path / "runs" / "woods" / "summary.json").read_text())
    assert "3.2" in json.dumps(summary)
    (table,) = (tmp_path / "runs" / "woods").glob("summary.md")
    assert "late" in table.read_text()
