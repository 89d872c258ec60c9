"""A grid from the command line to its table and image, and what its folder keeps."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

import jaxsched as js
from jaxsched.cli import main
from jaxsched.data import Synthetic
from jaxsched.tracking import RecordWriter
from jaxsched.tracking.records import read_record
from jaxsched.tune import Grid, GridRuns, write_grid_report

CONFIG = """
import jaxsched as js
from jaxsched.data import Digits, Subset
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from jaxsched.experiment import Experiment

experiment = Experiment(
    name="few_digits",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Subset(Digits(), num_train=96),
    ),
    phases=(js.Phase(epochs=8, batch_size=16),),
    optimizer=js.SGD(js.OneCycle(0.1, duration="100%"), momentum=0.9),
    num_devices=1,
)
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "few.py"
    path.write_text(CONFIG)
    return path


def grid(config, tmp_path, text):
    main(["grid", str(config), "--workdir", str(tmp_path / "out"), *text.split()])
    return json.loads((tmp_path / "out" / "few_digits" / "grid.json").read_text())


@pytest.mark.slow
def test_a_grid_is_run_refined_ranked_and_plotted_and_not_run_twice(config, tmp_path, capsys):
    text = "--weight-decay 1e-4 1e-2 --momentum 0.9 --epochs 1 --seeds 0 1 --refine 1"
    content = grid(config, tmp_path, text)
    folder = tmp_path / "out" / "few_digits"
    values = [cell["values"]["weight_decay"] for cell in content["cells"]]
    assert values == [1e-4, 1e-2, 1e-3]
    assert content["evaluated_on"] == "validation"
    means = [np.mean(list(cell["losses"].values())) for cell in content["cells"]]
    assert content["best"]["weight_decay"] == values[int(np.argmin(means))]
    printed = " ".join(capsys.readouterr().out.split())
    assert "few_digits: validation loss after 1 epochs (n=2)" in printed
    assert content["statements"][0] in printed
    markdown = (folder / "grid.md").read_text()
    assert "| weight decay | momentum | loss | accuracy, % | n |" in markdown
    image = imread(folder / "grid.png")
    assert min(image.shape[:2]) > 300 and np.ptp(image) > 0.9  # ink on paper
    written = {path: path.stat().st_mtime_ns for path in (folder / "records").iterdir()}
    assert len(written) == 6
    assert grid(config, tmp_path, text) == content
    assert {path: path.stat().st_mtime_ns for path in (folder / "records").iterdir()} == written


@pytest.mark.slow
def test_batch_sizes_are_compared_twice(config, tmp_path, capsys):
    content = grid(config, tmp_path, "--batch-size 16 32 --epochs 4")
    seconds = {cell["name"]: cell["train_seconds"]["0"] for cell in content["cells"]}
    fastest = min(seconds.values())
    for cell in content["equal_time"]:
        expected = 4 * fastest / seconds[cell["name"]]
        assert cell["epochs"] == pytest.approx(expected, rel=0.01)
        assert len(cell["losses"]) == 1
    best = min(content["equal_time"], key=lambda cell: cell["losses"]["0"])
    assert content["advised"] == best["values"]
    statements = " ".join(content["statements"])
    assert content["statements"][0].startswith("At equal time,")
    assert "At equal epochs. Best: batch size" in statements
    records = sorted((tmp_path / "out" / "few_digits" / "records").glob("*.jsonl"))
    for record in map(read_record, records):  # each ended with its schedule
        trained, last = record.header["config"], record.evaluations[-1]
        assert trained["optimizer"]["lr"]["duration"] == "100%"
        assert trained["phases"][0]["epochs"] <= last["epoch"]
    assert len(records) == 3  # the fastest size has its time already
    with pytest.raises(SystemExit):
        grid(config, tmp_path, "--batch-size 16 32 --at-once vmap")
    assert "for which each has to run by itself, got at_once='vmap'" in capsys.readouterr().err


def test_a_grid_of_nothing_names_what_to_give(config, tmp_path, capsys):
    with pytest.raises(SystemExit):
        grid(config, tmp_path, "--epochs 1")
    assert "at least one value of each axis, got {}" in capsys.readouterr().err


def test_a_partial_grid_is_reported_and_test_images_are_named(experiment, tmp_path, lines):
    """Records made by hand: one cell done, one cut off, one diverged, none of them held out."""
    axes = {"momentum": (0.0, 0.5, 0.9)}
    runs = GridRuns(Grid(experiment=experiment, axes=axes), tmp_path, source_text="")
    assert isinstance(experiment.task.data, Synthetic)
    with pytest.raises(ValueError, match="has no finished run; run the grid first"):
        write_grid_report(runs)
    for cell, status in zip(runs.cells, ("finished", None, "diverged"), strict=True):
        header = lines.header(cell.experiment.name, 0)
        path = runs.path(cell, 0)
        with RecordWriter(path, header) as writer:
            writer.evaluation(lines.row(4, test_loss=0.5, test_accuracy=0.75))
            if status is not None:
                writer.end(status=status, reason="")
    report = write_grid_report(runs)
    assert len(report.rows) == 3
    assert report.statements[0] == "Best: momentum 0, with loss 0.5 (n=1)."
    assert report.statements[-1].startswith("Ranked by test images")
    markdown = (runs.folder / "grid.md").read_text()
    assert "(n=1, 1 runs missing)" in markdown
    assert "| 0.9 | 1 diverged | none | 1 |" in markdown
    assert np.ptp(imread(runs.folder / "grid.png")) > 0.9


@pytest.mark.slow
def test_a_second_grid_in_one_folder_is_refused_and_nothing_is_lost(experiment, tmp_path, progress):
    grid = Grid(experiment=experiment, axes={"momentum": (0.5,)}, epochs=0.5)
    runs, refused = GridRuns(grid, tmp_path, source_text=""), []

    def check():
        with pytest.raises(BlockingIOError, match=f"makes runs in {runs.folder}") as error:
            GridRuns(grid, tmp_path, source_text="").run(progress)
        refused.append(error)

    runs.run(progress, choice="in_turn", check=check)
    ((_, (record,)),) = runs.runs()
    assert refused and record.is_complete and len(record.evaluations) == 4


def test_n_counts_the_values_of_a_mean_and_a_damaged_record_is_named(experiment, tmp_path, lines):
    grid = Grid(experiment=experiment, axes={"momentum": (0.5, 0.9)}, seeds=(0, 1, 2))
    runs = GridRuns(grid, tmp_path, source_text="")
    cell, other = runs.cells
    for seed, status in enumerate(("finished", "diverged", "diverged")):
        with RecordWriter(
            runs.path(cell, seed), lines.header(cell.experiment.name, seed)
        ) as writer:
            writer.evaluation(lines.row(4, test_accuracy=0.0938))
            writer.end(status=status, reason="")
    runs.path(other, 0).write_text('{"kind": "run"}\n')
    report = write_grid_report(runs)
    assert "| 0.5 | 2 diverged | 9.38 (n=1) | 3 |" in report.markdown
    assert report.statements[-1].startswith(f"A record is left out: {runs.path(other, 0)}, line 1")
    assert (
        report.statements[-1] in json.loads((runs.folder / "grid.json").read_text())["statements"]
    )


def test_runs_from_a_snapshot_lie_apart_from_those_from_scratch(experiment, tmp_path):
    axes = {"momentum": (0.5, 0.9)}
    scratch = Grid(experiment=experiment, axes=axes, epochs=4.0)
    snapshots = [
        Grid(experiment=experiment, axes=axes, epochs=4.0 - after, from_snapshot=after)
        for after in (1.0, 2.0)
    ]
    # All of them train four epochs by the same schedules.
    paths = set()
    for one in (scratch, *snapshots):
        runs = GridRuns(one, tmp_path, source_text="")
        assert runs.cells[0].experiment.phases == (js.Phase(4.0, 16),)
        paths.add(runs.path(runs.cells[0], 0))
    assert len(paths) == 3
