"""`range-test` and `recipe` as a user types them."""

import json

import pytest

from jaxsched.cli import main

CONFIG = """
import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="few",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=100, num_test=50, num_classes=4),
    ),
    phases=(js.Phase(epochs=2, batch_size=16),),
    optimizer=js.SGD(js.OneCycle(0.2, duration="100%"), momentum=0.9, weight_decay=1e-3),
    num_devices=1,
)
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "few.py"
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.slow
def test_a_range_test_prints_what_it_writes(config, tmp_path, capsys):
    main(["range-test", config, "--low", "1e-3", "--high", "50", "--updates", "80", "--seeds", "0"])
    printed = capsys.readouterr().out
    (folder,) = (tmp_path / "runs" / "range-test").iterdir()
    found = json.loads((folder / "range_test.json").read_text())
    assert found["of"] == "lr" and set(found["rules"]) >= {"steepest", "valley", "smith_max"}
    assert all(statement in printed for statement in found["statements"])
    assert "(n=1)" in printed
    names = {path.name for path in folder.iterdir()}
    assert names == {"seed0.json", "range_test.json", "range_test.md", "range_test.png"}


@pytest.mark.slow
def test_range_tests_at_several_weight_decays_take_one(config, tmp_path, capsys):
    arguments = ["range-test", config, "--low", "1e-3", "--high", "50", "--updates", "80"]
    main([*arguments, "--seeds", "0", "--weight-decay", "0", "1e-3", "10"])
    printed = capsys.readouterr().out
    (folder,) = (tmp_path / "runs" / "range-test").glob("*-by-weight_decay")
    found = json.loads((folder / "by_weight_decay.json").read_text())
    rates = {entry["value"]: entry["largest_rate"] for entry in found["values"]}
    assert set(rates) == {0.0, 1e-3, 10.0}
    large = [
        v for v, rate in rates.items() if rate and 3 * rate >= max(filter(None, rates.values()))
    ]
    assert found["taken"] == max(large) != 10.0  # η λ = 1 at a rate of 0.1: the weights vanish
    assert " ".join(found["statements"][0].split()) in " ".join(printed.split())
    assert len(list((tmp_path / "runs" / "range-test").glob("*/seed0.json"))) == 3


def test_what_makes_no_sense_ends_with_2_before_anything_runs(config, tmp_path, capsys):
    taken = tmp_path / "one_cycle.py"
    taken.write_text("mine")
    for arguments, message in (
        (["range-test", config, "--low", "3", "--high", "2"], "got low=3.0, high=2.0"),
        (["range-test", config, "--momentum", "--high", "2"], "within [0, 1] for momentum"),
        (["recipe", config], "one_cycle.py already exists; give another --output, or --overwrite"),
        (
            ["recipe", config, "--output", "other.py", "--momenta", "0.5"],
            "momenta within [0.85, 1)",
        ),
        (
            ["recipe", config, "--output", "other.py", "--validate-every", "200"],
            "validate_every within 1 … ",
        ),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
    assert taken.read_text() == "mine"
    assert not (tmp_path / "runs").exists()
