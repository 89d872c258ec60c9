"""The terminal shows the answer, whole names and whole numbers, however narrow it is."""

from pathlib import Path

import pytest

from jaxsched.bench import Results, StudyManifest, terminal_text
from jaxsched.cli import main
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

RESULTS = Path(__file__).parents[3] / "experiments" / "results"


def many(count=17, seeds=3):
    """Experiments with long names that differ at their ends; of one all diverged, one missed."""
    records = []
    for number in range(count):
        for seed in range(seeds):
            header = {
                "name": f"one_cycle_with_a_long_name_{number:02d}",
                "digest": "0",
                "seed": seed,
            }
            time = 1000 + 10 * number + seed
            rows = [
                {"step": time - 1, "examples": 1, "train_seconds": 1.0, "test_accuracy": 0.5},
                {"step": time, "examples": 2, "train_seconds": 9.5, "test_accuracy": 0.9},
            ]
            status = "diverged" if number == 3 else "finished"
            rows = rows[:1] if number in (3, 4) else rows
            end = {"status": status, "reason": "the loss is not finite"}
            records.append(Record(header, tuple(rows), end))
    runs = tuple(Run(r.name, "0", r.header["seed"]) for r in records)
    manifest = StudyManifest(
        name="s", runs=runs, target=0.9, further_targets=(), baseline=runs[0].name, published={}
    )
    return Results.of(manifest, records)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_names_and_numbers_are_whole_at_every_width(width):
    results = many()
    text = terminal_text(results, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for summary in results.summaries:
        assert any(line.split()[:1] == [summary.name] for line in lines)
    assert text.count("0/3, 3 diverged") == 1 and text.count("90.00 ± 0.00") == 15
    assert " ".join(text.split()).startswith(f"s: {results.answer}")
    assert lines[-1].startswith(("- ", "  "))  # the caveats come last


def test_one_experiment_has_a_table_without_comparisons():
    assert "against" not in terminal_text(many(1), 80)
    assert "3/3" in terminal_text(many(1), 80)


def test_the_command_prints_the_answer_first(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    main(["report", str(RESULTS / "averages"), "--output", str(tmp_path)])
    out = capsys.readouterr().out
    table = terminal_text(Results.read([RESULTS / "averages"]), 60)
    assert out.startswith(table) and table.startswith("averages: ")
