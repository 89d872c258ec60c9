"""An experiment written as source makes the same experiment again."""

import dataclasses
from pathlib import Path

import optax
import pytest

import jaxsched as js
from jaxsched.data import Digits
from jaxsched.experiment import Experiment
from jaxsched.experiment.files import load_value
from jaxsched.experiment.to_source import source_of
from jaxsched.models import R9, Network
from jaxsched.tasks import ImageClassification
from jaxsched.tune.recipe.config_writer import Reason, write_recipe
from jaxsched.tune.recipe.overfitting import fit_diagnosis
from jaxsched.tune.report import Report

ROOT = Path(js.__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))


def evaluated(source, imports):
    names = {}
    exec("\n".join(imports), names)
    return eval(source, names)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_comes_back_equal_and_in_lines_that_fit(path):
    experiment = load_value(path, "experiment", Experiment)
    source, imports = source_of(experiment)
    assert evaluated(source, imports) == experiment
    assert max(map(len, source.splitlines())) <= 100


def test_functions_mappings_and_text_with_quotes_come_back():
    optimizer = js.FromOptax(
        optax.lion, {"learning_rate": js.Cosine(1e-4, "10 epochs"), "b1": 0.95, "mask": None}
    )
    for value in (optimizer, 'a "quoted" \\ text', (1,), (), [1, 2], {"a": (True,)}):
        assert evaluated(*source_of(value)) == value


def test_a_network_that_no_module_has_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Mine(Network):
        width: int = 3

    with pytest.raises(ValueError, match=r"Mine cannot be imported .* put it into one, or write"):
        source_of(Mine())
    with pytest.raises(ValueError, match="expected plain values and dataclasses of them"):
        source_of(object())


@pytest.fixture
def experiment():
    return Experiment(
        name="written",
        task=ImageClassification(model=R9, data=Digits()),
        phases=(js.Phase(epochs=10, batch_size=50),),
        optimizer=js.SGD(js.OneCycle(0.5, duration="100%"), momentum=0.9),
    )


def test_a_recipe_is_a_config_that_loads_and_is_never_overwritten(experiment, tmp_path):
    path = tmp_path / "one_cycle.py"
    report = Report("a table", [], ['with """quotes""" and \\n'])
    reasons = [Reason("Learning rate", report, Path("range.png"))]
    write_recipe(experiment, reasons, "jaxsched 0.1.0", path)
    assert load_value(path, "experiment", Experiment) == experiment
    text = path.read_text()
    assert "    - with '''quotes''' and /n" in text and "range.png" in text
    assert "compare batch sizes at equal time" in text
    with pytest.raises(FileExistsError):
        write_recipe(experiment, reasons, "jaxsched 0.1.0", path)
    assert path.read_text() == text


def rows(train, test):
    losses = enumerate(zip(train, test, strict=True), start=1)
    return [{"epoch": n, "train_loss": a, "test_loss": b} for n, (a, b) in losses]


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [
        ((1.0, 0.5, 0.3, 0.1), (1.0, 0.8, 0.9, 1.0), "Overfitting"),
        ((1.0, 0.9, 0.8, 0.7), (1.0, 0.9, 0.8, 0.7), "Underfitting"),
        ((1.0, 0.6, 0.52, 0.5), (1.0, 0.6, 0.505, 0.5), "Balanced"),
        # It rises with the training loss: that is no overfitting.
        ((1.0, 0.5, 0.6, 0.7), (1.0, 0.8, 0.9, 1.0), "Balanced"),
        ((1.0,), (1.0,), "Balanced"),
    ],
)
def test_over_and_underfitting_are_told_apart(train, test, word):
    assert fit_diagnosis(rows(train, test)).startswith(word)


def test_without_an_evaluation_there_is_no_diagnosis():
    with pytest.raises(ValueError, match="at least one evaluation, got none"):
        fit_diagnosis([])
