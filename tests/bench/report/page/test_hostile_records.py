"""The page of records that hold anything: charts are drawn, and nothing of them is run as code."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxsched.bench import Results, StudyManifest
from jaxsched.bench.report.page import write_page
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

EVIL = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\"'`&{{7*7}}"
)
COLUMNS = (
    "test_accuracy", "train_loss", "test_loss", "averaged_test_accuracy", "learning_rate",
    "momentum", "weight_decay", "squared_norm",
)  # fmt: skip


def rows(number=12, changes=None):
    """Rows of a run that learns; a change is a function of the row's index."""
    made = []
    for index in range(number):
        step = 1 + index
        row = {
            "step": step, "examples": 32 * step, "epoch": step / 10, "train_seconds": step / 7,
            "evaluation_seconds": 0.5, "batch_size": 32, "learning_rate": 1 / (3 + step),
            "momentum": 0.9, "weight_decay": 5e-4, "train_loss": 2 / step, "test_loss": 3 / step,
            "test_accuracy": step / (step + 10), "squared_norm": 300.0 + index,
        }  # fmt: skip
        made.append({**row, **{name: of(index) for name, of in (changes or {}).items()}})
    return tuple(made)


def at(index, value, usual=0.5):
    return lambda i: value if i == index else usual


def study(runs, *, reason="", source="", name="hostile", target=0.5):
    """The results of runs, each by its experiment's name, with seeds in the order of the runs."""
    records, seeds = [], {}
    for experiment, evaluations, status in runs:
        seed = seeds[experiment] = seeds.get(experiment, -1) + 1
        header = {
            "name": experiment, "seed": seed, "digest": "0", "source": source,
            "compile_seconds": 1.0, "command": source, "started": "2026-01-01T00:00:00+00:00",
            "environment": {"processor": source, "packages": {}},
            "config": {"optimizer": {"type": "SGD", "lr": source}, "phases": source},
        }  # fmt: skip
        records.append(Record(header, evaluations, {"status": status, "reason": reason}))
    manifest = StudyManifest(
        name=name, target=target, further_targets=(), baseline=records[0].name, published={},
        runs=tuple(Run(record.name, "0", record.header["seed"]) for record in records),
    )  # fmt: skip
    return Results.of(manifest, records)


def strict_specs(path):
    """The page's JSON, read as strictly as browsers do."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r'id="specs">(.*?)</script>', text, re.DOTALL)
    assert found is not None

    def refuse(constant):
        raise ValueError(f"a bare {constant}")

    return json.loads(found[1], parse_constant=refuse)


def assert_drawn(browser, path):
    """Every chart of the page is drawn, without a message, and nothing of the records was run."""
    assert path.stat().st_size < 5e6
    specs = strict_specs(path)
    browser.driver.get_log("browser")
    browser.open(path)
    assert browser.driver.get_log("browser") == []
    places = browser.ask("[...document.querySelectorAll('.chart')].map(p => p.dataset.spec)")
    assert set(places) == set(specs)
    drawn = "document.querySelectorAll('.chart svg.marks').length"
    assert browser.ask(drawn) == len(places) == int(browser.ask("document.body.dataset.drawn"))
    assert browser.ask("window.hacked === undefined")
    # A coordinate that is not a number would hide a whole curve.
    paths = "[...document.querySelectorAll('.chart path')].map(p => p.getAttribute('d'))"
    assert not browser.ask(f"{paths}.some(d => /NaN|Infinity/.test(d))")
    return specs


BAD = (math.nan, math.inf, -math.inf, "nan", "inf", "-inf", 1e300, -1e300, 5e-324, None)


def test_numbers_that_no_axis_can_show_are_gaps_with_a_caution(browser, tmp_path):
    runs = [
        (f"{column}_{number}", rows(changes={column: at(5, bad)}), "finished")
        for column in COLUMNS
        for number, bad in enumerate(BAD[:2])
    ]
    write_page(study(runs), tmp_path / "page.html")
    specs = assert_drawn(browser, tmp_path / "page.html")
    points = specs["metric-0"]["datasets"]["points"]
    (gap,) = (row for row in points if row["experiment"] == "test_accuracy_1" and not row["low"])
    assert gap["step"] == 6 and gap["median"] is None
    assert "test accuracy of test_accuracy_0, seed 0, from update 6" in browser.ask(
        "document.querySelector('.caveats').textContent"
    )


def throughout(value):
    return lambda index: value


def test_the_largest_and_smallest_numbers_and_empty_runs_are_drawn(browser, tmp_path):
    changes: dict[str, dict[str, Any]]
    changes = {f"all {bad}": dict.fromkeys(COLUMNS[1:], throughout(bad)) for bad in BAD}
    changes["zero loss"] = dict.fromkeys(["train_loss", "test_loss"], throughout(0.0))
    changes["huge time"] = {"train_seconds": lambda i: 1e300 * (i + 1), "epoch": throughout(1e299)}
    runs = [
        *((name, rows(changes=of), "finished") for name, of in changes.items()),
        ("usual", rows(), "finished"),
        ("usual", rows(3), "stopped"),
        ("one row", rows(1), "finished"),
        ("no row", (), "diverged"),
        ("long", rows(1000), "failed"),
    ]
    write_page(study(runs), tmp_path / "page.html")
    assert_drawn(browser, tmp_path / "page.html")


@pytest.mark.parametrize(
    "runs",
    [
        [("only", rows(1), "finished")],
        [("dead", (), "diverged"), ("also dead", (), "failed")],
        [("blind", rows(changes=dict.fromkeys(COLUMNS, lambda i: "nan")), "diverged")],
    ],
    ids=["one evaluation", "no evaluation", "no number"],
)
def test_next_to_nothing_is_drawn(browser, tmp_path, runs):
    write_page(study(runs), tmp_path / "page.html")
    assert_drawn(browser, tmp_path / "page.html")


def test_texts_of_records_are_never_run(browser, tmp_path):
    names = (
        EVIL,
        "",
        "Same",
        "same",
        "עברית مرحبا",
        "\u202eevil\u202c 🙂",
        "a" * 200,
        "datum",
        "__proto__",
        "\r\n\0",
        "x.y[0]",
    )
    runs = [(name, rows(), "stopped") for name in names for _ in range(2)]
    results = study(runs, reason=EVIL, source=EVIL, name=EVIL)
    write_page(results, tmp_path / "page.html")
    specs = assert_drawn(browser, tmp_path / "page.html")
    assert {row["experiment"] for row in specs["metric-0"]["datasets"]["points"]} == set(names)
    lines = (
        "document.querySelectorAll('[data-spec=metric-0]:not([data-lit]) .mark-line path').length"
    )
    assert browser.ask(lines) == len(names)
    browser.find('input[value="\\"Same\\""]').send_keys(" ")
    browser.until(f"return {lines} === {len(names) - 1}")
    assert browser.ask("document.documentElement.scrollWidth") <= 1280


anything = st.one_of(st.sampled_from(BAD), st.floats(), st.floats(0, 1))


@st.composite
def hostile_runs(draw):
    runs = []
    for number in range(draw(st.integers(1, 9))):
        drawn = draw(
            st.lists(st.lists(anything, min_size=len(COLUMNS), max_size=len(COLUMNS)), max_size=8)
        )
        made = [
            {**row, **dict(zip(COLUMNS, of, strict=True))}
            for row, of in zip(rows(8), drawn, strict=False)
        ]
        status = draw(st.sampled_from(["finished", "stopped", "diverged", "failed"]))
        runs.append((draw(st.text(max_size=8)) + str(number % 6), tuple(made), status))
    return runs


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(runs=hostile_runs())
def test_drawn_records_are_drawn(browser, tmp_path, runs):
    write_page(study(runs), tmp_path / "page.html")
    assert_drawn(browser, tmp_path / "page.html")


def test_many_experiments_without_a_number_have_no_chart(browser, tmp_path):
    """More than fit into one chart, so that each would have one of its own."""
    nothing = {column: lambda i: math.nan for column in COLUMNS}
    runs = [(f"{{{number}}}", rows(2, changes=nothing), "finished") for number in range(9)]
    write_page(study(runs), tmp_path / "page.html")
    assert "metric-0" not in assert_drawn(browser, tmp_path / "page.html")
