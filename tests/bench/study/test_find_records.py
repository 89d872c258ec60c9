"""Which files count: those of the study's own names that hold what they are named after."""

import json
import shutil

import pytest

from jaxsched.bench import Results, StudyManifest, find_records
from jaxsched.cli import main
from jaxsched.tracking import RecordWriter
from jaxsched.tracking.records import Run

FINAL = {("low", 0): 0.30, ("low", 1): 0.32, ("high", 0): 0.80, ("high", 1): 0.82}


@pytest.fixture
def folder(tmp_path, lines):
    """Two experiments with two seeds each, as `bench` leaves them."""
    runs = tuple(Run(name, "0" * 8, seed) for name, seed in FINAL)
    manifest = StudyManifest(
        name="pair", runs=runs, target=0.5, further_targets=(), baseline="low", published={}
    )
    manifest.write(tmp_path / "pair" / "study.json")
    for run in runs:
        header = lines.header(run.name, run.seed, data={"classes": 4})
        with RecordWriter(tmp_path / "pair" / "records" / run.file_name, header) as writer:
            writer.evaluation(lines.row(10, test_accuracy=0.2))
            writer.evaluation(lines.row(20, test_accuracy=FINAL[run.name, run.seed]))
            writer.end(status="finished", reason="")
    return tmp_path / "pair"


def manifest(folder):
    return StudyManifest.read(folder / "study.json")


def record(folder, name, seed):
    return folder / "records" / Run(name, "0" * 8, seed).file_name


def found(folder):
    return find_records(manifest(folder), [folder / "records"])


def test_a_copy_is_a_caution_and_no_winner(folder):
    whole = Results.read([folder])
    stray = record(folder, "low", 0).with_name("low-00000000-seed0 (1).jsonl")
    shutil.copy(record(folder, "high", 0), stray)
    results = Results.read([folder])
    assert results.summaries == whole.summaries
    assert results.caveats[1:] == whole.caveats
    assert "1 record in" in results.caveats[0] and stray.name in results.caveats[0]


def test_a_record_under_anothers_name_is_left_out(folder):
    shutil.copy(record(folder, "high", 1), record(folder, "low", 1))
    records, (caution,), _ = found(folder)
    assert [(r.name, r.header["seed"]) for r in records] == [("low", 0), ("high", 0), ("high", 1)]
    assert "seed1.jsonl holds that of high, seed 1" in caution


@pytest.mark.parametrize("damage", ["torn in the middle", "digit", "UTF-16", "no record"])
def test_one_that_cannot_be_read_is_named_and_the_others_count(folder, damage, capsys):
    path = record(folder, "low", 1)
    text = path.read_text()
    damaged = {
        "torn in the middle": text[: len(text) // 2] + "\0\0\n" + text[-60:],
        "digit": text.replace("0.32", "0.92"),
        "UTF-16": text.encode("utf-16"),
        "no record": '{"cells": []}\n',
    }[damage]
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    main(["report", str(folder)])
    content = json.loads((folder / "summary.json").read_text())
    assert [(row["name"], row["seeds"]) for row in content["rows"]] == [("low", 1), ("high", 2)]
    assert str(path) in content["caveats"][0]
    assert "1 of 4 runs have not finished: low seed 1." in content["caveats"]
    assert path.name in "".join(capsys.readouterr().out.split())


def test_runs_of_other_data_are_named(folder, lines):
    path = record(folder, "high", 1)
    path.unlink()
    with RecordWriter(path, lines.header("high", 1, data={"classes": 5})) as writer:
        writer.end(status="finished", reason="")
    (caveat,) = (c for c in Results.read([folder]).caveats if "different data" in c)
    assert "high seed 1 with other data than low seed 0 (classes: 4 -> 5)" in caveat
    path.unlink()
    with RecordWriter(path, lines.header("high", 1)) as writer:
        writer.end(status="finished", reason="")
    (caveat,) = (c for c in Results.read([folder]).caveats if "named their data" in c)
    assert caveat.startswith("1 of 4 runs are from before")


def test_n_counts_the_values_of_the_mean(folder, lines):
    for name, seed in list(FINAL)[2:]:
        record(folder, name, seed).unlink()
    with RecordWriter(record(folder, "high", 0), lines.header("high", 0)) as writer:
        writer.end(status="diverged", reason="diverged at update 0")
    with RecordWriter(record(folder, "high", 1), lines.header("high", 1)) as writer:
        writer.evaluation(lines.row(10, test_accuracy=0.0938))
        writer.end(status="finished", reason="")
    main(["report", str(folder)])
    markdown = (folder / "summary.md").read_text()
    assert "| high | 0/2, 1 diverged | 9.38 (n=1) |" in markdown
    assert "Equal in all rows: steps missed." in (folder / "report.html").read_text()


REASON = "[/bold] no <script>alert(1)</script> | [x](http://y)\x1b[2J"


def test_a_reason_is_no_markup_anywhere(folder, lines, capsys):
    path = record(folder, "high", 1)
    path.unlink()
    with RecordWriter(path, lines.header("high", 1)) as writer:
        writer.end(status="failed", reason=REASON)
    other = record(folder, "high", 0)
    other.unlink()
    with RecordWriter(other, lines.header("high", 0)) as writer:
        writer.end(status="failed", reason="=1+1")
    main(["report", str(folder)])
    said = capsys.readouterr().out
    assert "[/bold] no <script>" in " ".join(said.split()) and "\x1b[2J" not in said
    page = (folder / "report.html").read_text().partition('id="specs"')[0]
    assert "&lt;script&gt;alert(1)" in page and "<script>alert" not in page
    markdown = (folder / "summary.md").read_text()
    assert r"[/bold] no &lt;script>alert(1)&lt;/script> \| [x]\(http://y)" in markdown
    assert "'=1+1" in (folder / "runs.csv").read_text()
    assert "\x1b" not in page + markdown + (folder / "runs.csv").read_text()


def change(folder, **changes):
    path = folder / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../../x"}, "a study needs a name of letters"),
        ({"name": "/tmp/x"}, "a study needs a name of letters"),
        ({"name": ""}, "a study needs a name of letters"),
        ({"name": ["x"]}, "does not hold a study's manifest"),
        ({"runs": [{"name": "..", "digest": "0" * 8, "seed": 0}]}, "an experiment needs a name"),
        ({"runs": [{"name": "a", "digest": "/../x", "seed": 0}]}, "needs a name of letters"),
        (
            {"runs": [{"name": "a", "digest": "0", "seed": "../.."}]},
            "a whole number as seed",
        ),
        ({"runs": []}, "expected an experiment of the study as baseline"),
        ({"target": "high"}, "expected a test accuracy"),
        ({"target": 10**400}, "expected a test accuracy"),
        ({"further_targets": [None]}, "expected a test accuracy"),
        ({"baseline": "nobody"}, "expected an experiment of the study as baseline"),
        ({"evaluate": "best"}, "expected evaluate as one of"),
        ({"evaluate": ["raw"]}, "expected evaluate as one of"),
        ({"format": 9}, "does not hold a study's manifest"),
    ],
)
def test_a_manifest_of_others_leads_nowhere(folder, tmp_path, capsys, changes, message):
    change(folder, **changes)
    before = sorted(tmp_path.rglob("*"))
    arguments = ("--output", str(tmp_path / "out"), "--tensorboard", str(tmp_path / "events"))
    with pytest.raises(SystemExit) as end:
        main(["report", str(folder), *arguments])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert message in said and str(folder / "study.json") in said
    assert sorted(tmp_path.rglob("*")) == before


def test_no_report_is_written_through_a_link(folder, tmp_path, capsys):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / "runs.csv").symlink_to(precious)
    with pytest.raises(SystemExit):
        main(["report", str(folder)])
    assert f"{folder / 'runs.csv'} is a symbolic link" in capsys.readouterr().err
    assert precious.read_text() == "mine"
