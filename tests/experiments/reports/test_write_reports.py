"""The READMEs' tables and the committed reports are those of the records: one command makes all."""

import json
import re
import shutil
from pathlib import Path

import pytest

from jaxsched.bench import Results
from jaxsched.bench.report.tables import markdown_table

ROOT = Path(__file__).parents[3]
READMES = (ROOT / "README.md", ROOT / "experiments" / "README.md")
RESULTS = ROOT / "experiments" / "results"
# The rows of tables with a row for each schedule.
OF_SCHEDULES = {("runs", "abel"): 4, ("runs", "abel_longer"): 4, ("runs", "language_abel"): 3}


@pytest.fixture(scope="module")
def reports(load_experiment):
    return load_experiment("reports/write_reports")


def emptied(text):
    return re.sub(r"^\|.*\n", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_a_readme_is_what_its_records_make(reports, path):
    readme, rows = path.read_text(), []
    for found in reports.MARKED.finditer(readme):
        rows.append(len(re.findall(r"^\|", found[0], re.MULTILINE)) - 2)  # heading and rule
        runs = json.loads((RESULTS / found[2] / "study.json").read_text())["runs"]
        # A row an experiment, for the comparisons but for the baseline.
        expected = len({run["name"] for run in runs}) - (found[1] == "comparisons")
        assert rows[-1] == OF_SCHEDULES.get((found[1], found[2]), expected)
    assert rows or path == READMES[0]  # which may do without a table
    without = reports.MARKED.sub(lambda found: emptied(found[0]), readme)
    assert len(without.splitlines()) == len(readme.splitlines()) - sum(rows) - 2 * len(rows)
    assert reports.with_tables(without) == readme


@pytest.mark.parametrize(
    "manifest", sorted(RESULTS.glob("*/study.json")), ids=lambda path: path.parent.name
)
def test_committed_reports_are_those_of_their_records(manifest):
    committed = (manifest.parent / "summary.md").read_text()
    assert committed == markdown_table(Results.read([manifest.parent]))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("<!-- table: quickstart -->\n| 1 |\n", ValueError, "of .*quickstart.*after .. alone"),
        (
            "<!-- table: quickstart -->\n<!-- runs: batch_growth -->\n<!-- end -->",
            ValueError,
            "of .*quickstart.*batch_growth.*after .*batch_growth.*alone",
        ),
        ("<!-- tabel: quickstart -->\n<!-- end -->", ValueError, "kinds .*table.*got .*tabel"),
        ("<!-- table: quick -->\n<!-- end -->", FileNotFoundError, "a study's folder.*quick"),
        ("<!-- runs: quickstart -->\n<!-- end -->", FileNotFoundError, "figures/quickstart.py"),
    ],
)
def test_markers_that_say_nothing_are_refused(reports, text, error, message):
    with pytest.raises(error, match=message):
        reports.with_tables(text)


@pytest.mark.slow
def test_the_command_makes_reports_curves_and_readmes(reports, tmp_path, monkeypatch):
    study = tmp_path / "results" / "batch_growth"
    shutil.copytree(RESULTS / "batch_growth" / "records", study / "records")
    shutil.copy(RESULTS / "batch_growth" / "study.json", study)
    readme = READMES[1].read_text()
    (table,) = re.findall(r"<!-- runs: batch_growth -->.*?<!-- end -->", readme, re.DOTALL)
    text = f"Before.\n\n{table}\n\nAfter: | no table |\n"
    (tmp_path / "README.md").write_text(emptied(text))
    monkeypatch.setattr(reports, "RESULTS", study.parent)
    monkeypatch.setattr(reports, "READMES", (tmp_path / "README.md",))
    reports.main()
    assert (tmp_path / "README.md").read_text() == text
    committed = RESULTS / "batch_growth" / "summary.md"
    assert (study / "summary.md").read_text() == committed.read_text()
    assert {"runs.csv", "curves.png", "accuracy.png"} <= {path.name for path in study.iterdir()}
