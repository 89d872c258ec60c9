"""Reports from records alone: those of a committed study, in one folder and in several."""

import csv
import dataclasses
import json
import shutil
import statistics
from pathlib import Path

import pytest
from matplotlib.image import imread

from jaxsched.bench import Results, StudyManifest, write_report
from jaxsched.bench.report import plots
from jaxsched.cli import main
from jaxsched.plotting.style import curve_style
from jaxsched.tracking import read_record

RESULTS = Path(__file__).parents[3] / "experiments" / "results"
GROWTH = RESULTS / "batch_growth"
QUICKSTART = RESULTS / "quickstart"


@pytest.fixture(scope="module")
def results():
    return Results.read([GROWTH])


@pytest.fixture(scope="module")
def report(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(results, folder)
    return folder


def test_every_run_of_the_study_is_read(results):
    assert len(results.records) == 17 * 5
    assert [(r.name, r.header["seed"]) for r in results.records[:4]] == [
        ("decay", 0), ("decay", 1), ("decay", 2), ("decay", 3)
    ]  # fmt: skip


def finals(results, name):
    return [r.evaluations[-1]["test_accuracy"] for r in results.records if r.name == name]


def test_table_has_the_values_of_the_records(results, report):
    lines = (report / "summary.md").read_text().splitlines()
    row, against, published = (line for line in lines if line.startswith("| batch |"))
    accuracies = finals(results, "batch")
    mean, sd = 100 * statistics.fmean(accuracies), 100 * statistics.stdev(accuracies)
    assert f"| {mean:.2f} ± {sd:.2f} |" in row
    assert "Equal in all rows: n = 5." in lines and results.answer in lines
    difference = 100 * (statistics.fmean(accuracies) - statistics.fmean(finals(results, "decay")))
    assert f"| {difference:+.2f} [" in against
    # Figure 5 of the paper has 94.4 and 94.3.
    assert published.startswith(f"| batch | 94.40 | +0.10 | {difference:+.2f} [")
    assert any(line.startswith("- ") and "fewer than six seeds" in line for line in lines)


def test_json_is_strict_and_csv_has_every_evaluation(results, report):
    content = json.loads((report / "summary.json").read_text(), parse_constant=pytest.fail)
    assert content["answer"] == results.answer
    assert [row["name"] for row in content["rows"]] == list(results.manifest.names)
    with (report / "evaluations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    evaluations = [row for record in results.records for row in record.evaluations]
    assert [float(row["test_loss"]) for row in rows] == [row["test_loss"] for row in evaluations]
    assert {row["study"] for row in rows} == {"batch_growth"}
    assert "averaged_test_accuracy" not in rows[0]  # which no run has


def test_seventeen_curves_are_told_apart(report):
    assert min(imread(report / "accuracy.png").shape[:2]) > 400
    assert len({str(curve_style(number)) for number in range(17)}) == 17


@pytest.fixture
def parts(tmp_path):
    """The study in two folders, as from two hosts, with one run in both."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        (folder / "records").mkdir(parents=True)
        shutil.copy(GROWTH / "study.json", folder)
    for number, path in enumerate(sorted((GROWTH / "records").glob("*.jsonl"))):
        shutil.copy(path, folders[number % 2] / "records")
        if number == 0:
            shutil.copy(path, folders[1] / "records")
    return folders


@pytest.mark.slow
def test_parts_make_the_same_report_in_any_order(results, parts, tmp_path):
    for folders in (parts, parts[::-1]):
        write_report(Results.read(folders), tmp_path)
        merged = (tmp_path / "summary.json").read_text()
        write_report(results, tmp_path)
        assert merged == (tmp_path / "summary.json").read_text()


def without_checksums(lines):
    """The text of lines of a record as one from before checksums, which may be cut."""
    entries = [json.loads(line) for line in lines]
    kept = [{k: v for k, v in e.items() if k not in ("format", "crc32")} for e in entries]
    return "".join(json.dumps(entry) + "\n" for entry in kept)


def test_of_a_run_in_two_folders_the_first_counts(parts):
    (double,) = {p.name for p in (parts[0] / "records").iterdir()} & {
        p.name for p in (parts[1] / "records").iterdir()
    }
    other = parts[1] / "records" / double
    lines = other.read_text().splitlines(keepends=True)
    other.write_text(without_checksums(lines[:2] + lines[-1:]))  # with one evaluation alone
    record = read_record(parts[0] / "records" / double)
    key = (record.name, record.header["seed"])
    for folders, length in ((parts, len(record.evaluations)), (parts[::-1], 1)):
        made = {(r.name, r.header["seed"]): r for r in Results.read(folders).records}
        assert len(made[key].evaluations) == length


def test_of_a_run_in_two_folders_the_one_that_did_not_die_counts(results, parts, tmp_path):
    (double,) = {p.name for p in (parts[0] / "records").iterdir()} & {
        p.name for p in (parts[1] / "records").iterdir()
    }
    first = parts[0] / "records" / double
    lines = first.read_text().splitlines(keepends=True)
    died = json.dumps({"kind": "end", "status": "failed", "reason": "MemoryError"})
    first.write_text(without_checksums([*lines[:2], died]))
    assert Results.read(parts).summaries == results.summaries
    (parts[1] / "records" / double).unlink()
    assert sum(summary.failed for summary in Results.read(parts).summaries) == 1


def test_a_part_of_a_study_names_the_missing_runs(parts):
    assert any("of 85 runs have not finished" in said for said in Results.read(parts[1:]).caveats)


def command(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, arguments)])
    return end.value.code


def test_the_command_writes_to_the_output_folder(parts, tmp_path, capsys):
    main(["report", *map(str, parts), "--output", str(tmp_path / "new" / "out")])
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == {
        "accuracy.png", "evaluations.csv", "report.html", "runs.csv", "summary.json", "summary.md"
    }  # fmt: skip
    assert "larger_momentum" in capsys.readouterr().out


def test_bad_folders_exit_with_2_and_a_reason(parts, tmp_path, capsys):
    assert command(tmp_path / "nothing") == 2
    assert "expected a study's folder, with study.json in it" in capsys.readouterr().err

    manifest = StudyManifest.read(QUICKSTART / "study.json")
    manifest.write(tmp_path / "other" / "study.json")
    assert command(tmp_path / "other") == 2
    assert "none of the 25 runs of quickstart has a finished record" in capsys.readouterr().err

    for path in (parts[0] / "records").iterdir():
        path.write_text("{nonsense\n")
    assert command(parts[0]) == 2
    assert f"{path.name}, line 1: expected a record's line" in capsys.readouterr().err
    assert path.read_text() == "{nonsense\n"


def test_folders_of_one_study_with_other_runs_are_refused(parts, tmp_path, capsys):
    manifest = StudyManifest.read(GROWTH / "study.json")
    dataclasses.replace(manifest, runs=manifest.runs[1:]).write(tmp_path / "fewer" / "study.json")
    assert command(QUICKSTART, parts[0], tmp_path / "fewer", "--output", tmp_path / "out") == 2
    said = (
        f"{tmp_path / 'fewer'} holds another study, or other runs of batch_growth, than {parts[0]}"
    )
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_folders_of_different_studies_make_a_report_each(parts, tmp_path):
    quickstart = tmp_path / "quickstart"
    shutil.copytree(QUICKSTART, quickstart, ignore=shutil.ignore_patterns("summary.*"))
    main(["report", *map(str, (parts[0], quickstart, parts[1]))])
    assert not (parts[1] / "summary.md").exists()
    for folder, study in ((parts[0], GROWTH), (quickstart, QUICKSTART)):
        assert (folder / "summary.md").read_text() == (study / "summary.md").read_text()


@pytest.mark.slow
def test_an_output_of_several_studies_has_a_folder_for_each(tmp_path):
    main(["report", str(GROWTH), str(QUICKSTART), "--output", str(tmp_path)])
    for study in (GROWTH, QUICKSTART):
        written, committed = (of / "summary.md" for of in (tmp_path / study.name, study))
        assert written.read_text() == committed.read_text()


def test_records_that_were_cut_off_are_left_out_and_named(parts):
    path = next((parts[0] / "records").iterdir())
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    found = Results.read(parts)
    kept = 85 if (parts[1] / "records" / path.name).exists() else 84
    assert len(found.records) == kept
    assert any("1 of 85 runs have not finished" in said for said in found.caveats) == (kept == 84)


def test_an_average_of_a_single_evaluation_is_a_point(tmp_path, monkeypatch):
    """A line of one value cannot be seen."""
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.append(figure))
    plots.draw_metric(Results.read([RESULTS / "averages_quarter"]), tmp_path / "unused.png")
    markers = {line.get_label(): line.get_marker() for line in drawn[0].axes[0].lines}
    assert markers["swa, averaged"] == "o" and markers["swa (n=8)"] == "None"
