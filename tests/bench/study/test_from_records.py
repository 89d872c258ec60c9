"""Reports of records from a loop of one's own, without a study file."""

import csv
import json
import math
import statistics

import pytest
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jaxsched as js
from jaxsched.bench import Choices, StudyManifest, update_manifests
from jaxsched.cli import main

FINAL = {"slow": [2.5, 2.3, 2.4, 2.45, 2.35, 2.2], "fast": [2.0, 1.8, 1.9, 1.95, 1.85, 1.7]}


def record(folder, experiment, seed, values, **options):
    given = {"study": "own", "config": {"rate": experiment}, "workdir": folder, **options}
    with js.recorder(experiment=experiment, seed=seed, **given) as run:
        for step, value in values:
            if isinstance(value, dict):
                run.evaluation(step=step, **value)
            else:
                run.evaluation(step=step, test_loss=value)


@pytest.fixture
def folder(tmp_path):
    """Two experiments with six seeds: losses at four updates; `fast` passes 2.6 at 20."""
    for name, finals in FINAL.items():
        middle = 3.0 if name == "slow" else 2.55
        for seed, final in enumerate(finals):
            record(tmp_path, name, seed, [(5, 4.0), (10, 3.5), (20, middle), (30, final)])
    return tmp_path / "own"


def report(folder, *options):
    main(["report", str(folder), *options])
    return json.loads((folder / "summary.json").read_text())


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, arguments)])
    assert end.value.code == 2
    return capsys.readouterr().err


def test_a_report_without_a_study_file(folder, capsys):
    content = report(folder, "--target", "2.6")
    assert content["metric"] == {"name": "test_loss", "better": "lower", "is_share": False}
    rows = {row["name"]: row for row in content["rows"]}
    assert (rows["slow"]["steps"], rows["fast"]["steps"]) == (30, 20)
    assert rows["fast"]["final_mean"] == pytest.approx(statistics.fmean(FINAL["fast"]))
    assert content["baseline"] == "slow"
    (steps,), (final,) = content["by_steps"], content["by_final"]
    # All seeds agree, so that the spread is what evaluations at 10, 20 and 30 leave unknown.
    t = math.log(30 / 20) / math.sqrt(((1 / 3) ** 2 + (1 / 2) ** 2) / 12 / 6)
    assert steps["p_value"] == pytest.approx(2 * stats.t.sf(t, 5))
    assert final["estimate"] == pytest.approx(-0.5)
    assert (folder / "loss.png").stat().st_size > 5000
    markdown = (folder / "summary.md").read_text()
    assert markdown.startswith("own: median over seeds to reach a test loss of 2.6\n")
    assert "| fast | 20 [20, 20] | 1.87 ± 0.11 |" in markdown
    assert "Equal in all rows: n = 6, " in markdown
    with (folder / "evaluations.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    assert columns == [
        "study", "experiment", "seed", "step", "train_seconds", "evaluation_seconds", "test_loss"
    ]  # fmt: skip
    page = (folder / "report.html").read_text().partition('id="specs"')[0]
    assert content["answer"].startswith("fast reaches a test loss of 2.6 in 20 updates (median of")
    assert "significantly below 2.6 from step" in page and "fewer updates: 0.67" in page
    assert "Schedules in force" not in page and "<td>None" not in page
    assert "examples" not in capsys.readouterr().out


def test_a_browser_draws_what_was_recorded(folder, browser):
    report(folder, "--target", "2.6")
    browser.driver.get_log("browser")
    browser.open(folder / "report.html")
    assert browser.driver.get_log("browser") == []
    charts = browser.ask(
        "[...document.querySelectorAll('.chart')].map(chart => chart.dataset.spec)"
    )
    assert charts == ["metric-0", "others-0"]
    axes = "[...document.querySelectorAll('input[name=time_axis]')].map(axis => axis.value)"
    assert browser.ask(axes) == ["step", "train_seconds"]
    assert browser.ask("drawn[0].view.scale('y').domain()[1]") < 3.8  # without the first loss, 4


def test_tensorboard_has_the_metrics_and_the_times(folder, tmp_path):
    report(folder, "--tensorboard", str(tmp_path / "events"))
    found = EventAccumulator(str(tmp_path / "events" / "own" / "fast" / "seed2")).Reload()
    assert set(found.Tags()["scalars"]) == {"loss/test", "time/train_seconds"}
    assert [event.step for event in found.Scalars("loss/test")] == [5, 10, 20, 30]
    assert found.Scalars("loss/test")[-1].value == pytest.approx(FINAL["fast"][2])


def test_choices_are_kept_and_the_runs_are_those_that_are_there(folder, tmp_path):
    first = report(folder, "--target", "2.6", "--baseline", "fast")
    record(tmp_path, "slow", 6, [(10, 2.4)])
    content = report(folder)
    assert (content["target"], content["baseline"]) == (2.6, "fast")
    (row,) = (row for row in content["rows"] if row["name"] == "slow")
    assert row["seeds"] == 7 and [row["seeds"] for row in first["rows"]] == [6, 6]


def test_averages_of_a_loop_of_ones_own_count_unless_it_says_otherwise(tmp_path):
    losses = [(2.9, 2.8), (2.7, 2.4), (2.6, 2.2)]
    rows = [{"test_loss": raw, "averaged_test_loss": averaged} for raw, averaged in losses]
    record(tmp_path, "ema", 0, [(10 * n, row) for n, row in enumerate(rows, start=1)])
    folder = tmp_path / "own"

    def found(*options):
        content = report(folder, "--target", "2.5", *options)
        (row,) = content["rows"]
        return content["evaluate"], row["steps"], row["final_mean"]

    assert found() == ("averaged", 20, 2.2)
    assert found("--evaluate", "raw") == ("raw", None, 2.6)
    assert found() == ("raw", None, 2.6)  # kept
    assert found("--evaluate", "better") == ("better", 20, 2.2)


def test_without_a_target_it_is_the_median_best_of_the_baseline(folder):
    content = report(folder)
    assert content["target"] == pytest.approx(statistics.median(FINAL["slow"]))
    assert content["origin"] == "median over 6 runs of the best evaluation of slow"
    assert any("by construction slow misses it" in said for said in content["caveats"])


def test_an_unfinished_run_is_named_and_left_out(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, "slow", 6, Interrupted())
    content = report(folder)
    assert content["caveats"][:2] == [
        "Runs that have not ended do not count: 1 has begun, but no process makes it now (slow, "
        "seed 6: update 10, test loss 0.1).",
        "1 of 13 runs have not finished: slow seed 6.",
    ]


class Interrupted:
    def __iter__(self):
        yield 10, 0.1
        raise KeyboardInterrupt


def test_folders_of_two_hosts_are_one_study(folder, tmp_path):
    record(tmp_path / "b", "fast", 6, [(10, 1.0)])
    output = tmp_path / "out"
    main(["report", str(folder), str(tmp_path / "b" / "own"), "--output", str(output)])
    rows = json.loads((output / "summary.json").read_text())["rows"]
    assert {row["name"]: row["seeds"] for row in rows} == {"slow": 6, "fast": 7}


def test_wrong_choices_are_refused_with_the_right_ones(folder, tmp_path, capsys):
    assert "--metric as one of test_loss, got test_f1" in refused(
        capsys, folder, "--metric", "test_f1"
    )
    said = refused(capsys, folder, "--baseline", "nobody")
    assert "baseline among the experiments ['slow', 'fast'], got 'nobody'" in said
    assert not (folder / "study.json").exists()
    study = StudyManifest(
        name="s", runs=(), target=0.5, further_targets=(), baseline="a", published={}
    )
    path = tmp_path / "file" / "study.json"
    study.write(path)
    content = json.loads(path.read_text())
    run = {"name": "a", "digest": "0", "seed": 0}
    path.write_text(json.dumps({**content, "runs": [run]}))
    for choices in Choices(target=0.6), Choices(evaluate="raw"):
        with pytest.raises(ValueError, match="metric, baseline and evaluate from a study file"):
            update_manifests([tmp_path / "file"], choices)


def test_records_that_do_not_fit_together_are_refused_by_name(folder, tmp_path, capsys):
    record(tmp_path, "slow", 6, [(10, 2.0)], config={"rate": "other"})
    said = " ".join(refused(capsys, folder).split())
    assert "runs of one config under the name slow, got seed 0 and seed 6" in said
    assert "rate" in said and "record them as different experiments" in said
    other = tmp_path / "other"
    record(other, "a", 0, [(10, {"test_loss": 1.0, "test_accuracy": 0.5})])
    record(other, "b", 0, [(10, {"test_loss": 1.0})])
    said = refused(capsys, other / "own")
    assert "same main metric, got test_accuracy of a and test_loss of b; choose one" in said
    assert report(other / "own", "--metric", "test_loss")["metric"]["name"] == "test_loss"
    said = refused(capsys, other / "own", "--metric", "test_accuracy")
    assert "b, seed 0, measured test_loss (lower)" in said
    assert "test accuracy within [0, 1], got 90" in refused(
        capsys, other / "own", "--metric", "test_accuracy", "--target", "90"
    )
    empty = tmp_path / "empty" / "records"
    empty.mkdir(parents=True)
    assert f"expected records in {empty}, got none" in refused(capsys, empty.parent)
