"""The page: its content for committed records, and its behaviour in a real browser."""

import dataclasses
import json
import statistics
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jaxsched.bench import Results, StudyManifest
from jaxsched.bench.report.page import write_page
from jaxsched.bench.report.published import published_tables
from jaxsched.bench.report.tables import summary_cells
from jaxsched.tracking import Record
from jaxsched.tracking.records import Run

RESULTS = Path(__file__).parents[3] / "experiments" / "results"


class Page(HTMLParser):
    """A parsed page: its elements, its tables and its text outside of scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.tables, self.text, self._open = [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._open):
            self.text += data.replace("\xa0", " ")
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data.replace("\xa0", " ")


@pytest.fixture(scope="module")
def schedulers(tmp_path_factory):
    results = Results.read([RESULTS / "lr_schedulers"])
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(results, path)
    return results, path


def tidy(table):
    """The cells without the swatches before names and the spaces that hold numbers together."""
    return [tuple(cell.replace("\N{NO-BREAK SPACE}", " ").strip() for cell in row) for row in table]


def test_tables_are_those_of_the_other_reports(schedulers):
    results, path = schedulers
    summary, *others = Page(path).tables
    found = summary_cells(results, intervals=True)
    assert tidy(summary) == found.rows
    text = " ".join(Page(path).text.split())
    assert results.answer in text and found.note in text
    (cycle,) = (row for row in tidy(summary) if row[0] == "one_cycle")
    # As `experiments/reports/recompute.py` finds it without jaxsched.
    assert "higher final accuracy: +3.58 points [+2.97, +4.19]" in cycle[-1]
    assert all(len(of) == len(results.manifest.names) for of in others if of[0][0][:3] == "aga")


def test_published_numbers_are_set_apart_from_ours(schedulers):
    results, path = schedulers
    (table,) = (table for table in Page(path).tables if table[0][1] == "published, %")
    assert tidy(table) == published_tables(results)[0].rows


def test_page_loads_nothing_from_elsewhere(schedulers):
    _, path = schedulers
    page = Page(path)
    assert path.stat().st_size < 5e6
    fetched = [
        value
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href") or tag in ("link", "iframe", "img")
    ]
    assert fetched == []
    assert "@import" not in path.read_text() and "url(" not in path.read_text().split("<script")[0]
    for caveat in schedulers[0].caveats:
        assert caveat in page.text
    assert "restarts" in page.text and "AMD EPYC" in page.text


def made_up(num_experiments, num_rows, *, name="run{}", source="", end=None, **header):
    """Results of a study that was never run."""
    rows = tuple(
        {
            "step": step, "examples": 32 * step, "epoch": step / 10, "train_seconds": step / 7,
            "evaluation_seconds": 0.5, "batch_size": 32, "learning_rate": 1 / (3 + step),
            "momentum": 0.9 + 1 / (11 + step), "weight_decay": 5e-4 / step,
            "test_accuracy": step / (step + 10), "squared_norm": 300 + 1 / step,
        }
        for step in range(1, num_rows + 1)
    )  # fmt: skip
    names = [name.format(number) for number in range(num_experiments)]
    end = end or {"status": "finished", "reason": "", "images_per_second": 1.0}
    shared = {
        "digest": "0", "source": source, "compile_seconds": 1.0, "command": "jaxsched bench s.py",
        "environment": {"processor": "x", "device": "cpu"}, "started": "2026-01-01T00:00:00+00:00",
        "config": {"optimizer": {"type": "SGD"}}, **header,
    }  # fmt: skip
    records = [
        Record({"name": name, "seed": seed, **shared}, rows, end)
        for name in names
        for seed in range(3)
    ]
    manifest = StudyManifest(
        name="made up", target=0.5, further_targets=(0.3, 0.7), baseline=names[0], published={},
        runs=tuple(Run(record.name, "0", record.header["seed"]) for record in records),
    )  # fmt: skip
    return Results.of(manifest, records)


@pytest.mark.slow
def test_a_large_study_still_makes_a_small_page(tmp_path):
    write_page(made_up(24, 600), tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 5e6


def test_a_study_whose_runs_all_diverged_has_a_page(browser, tmp_path):
    end = {"status": "diverged", "reason": "diverged at update 1"}
    write_page(made_up(2, 0, end=end), tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    assert "diverged at update 1" in browser.ask("document.querySelector('main').textContent")
    assert browser.ask("document.querySelectorAll('.chart').length") == 0


def test_text_from_records_is_never_markup(tmp_path):
    evil = "</script><script>alert(1)</script><b>"
    end = {"status": "stopped", "reason": evil, "images_per_second": 1.0}
    results = made_up(2, 3, name=f"{evil}{{}}", source=evil, end=end)
    write_page(results, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 3 and "b" not in tags
    assert page.text.count(evil) > 6


def test_scores_over_several_targets(tmp_path):
    results = made_up(2, 30)

    def slowed(record):
        rows = tuple({**row, "step": 2 * row["step"]} for row in record.evaluations)
        return dataclasses.replace(record, evaluations=rows)

    slower = map(slowed, results.runs_of("run1"))
    results = Results.of(results.manifest, [*results.runs_of("run0"), *slower])
    write_page(results, tmp_path / "page.html")
    tables = Page(tmp_path / "page.html").tables
    (table,) = (table for table in tables if table[0][1:2] == ["score"])
    # Twice as slow on all targets: its share is 0 below τ = 2 and 1 from there to 4.
    assert table[1:] == [["run0", "1.000", "1.00"], ["run1", "0.667", "0.50"]]


def place(chart):
    """The selector of a chart; that of small multiples is another."""
    return f"[data-spec={chart}]:not([data-lit])"


METRIC, TEST_LOSS, TRAIN_LOSS, REACHED, NORM = map(
    place, ("metric-0", "metric-1", "metric-2", "others-0", "others-1")
)


def lines(chart):
    """A script that returns the number of lines in a chart."""
    return f"document.querySelectorAll('{chart} .mark-line path').length"


def strokes(chart):
    """A script that returns the colours of a chart's lines."""
    lines = f"[...document.querySelectorAll('{chart} .mark-line path')]"
    return f"{lines}.map(path => path.getAttribute('stroke'))"


def words(chart):
    """A script that returns all text of a chart."""
    texts = f"[...document.querySelectorAll('{chart} svg.marks text')]"
    return f"{texts}.map(text => text.textContent).join(' ')"


def test_browser_draws_every_chart_without_a_message_or_a_network(browser, schedulers):
    _, path = schedulers
    browser.driver.get_log("browser")
    browser.open(path)
    assert browser.driver.get_log("browser") == []
    charts = browser.ask("document.querySelectorAll('.chart').length")
    assert charts == browser.ask("document.querySelectorAll('.chart svg.marks').length") >= 7
    described = f"document.querySelector('{METRIC} [role=graphics-document]').ariaLabel"
    assert "Test accuracy" in browser.ask(described)
    assert [browser.ask(lines(of)) for of in (METRIC, TEST_LOSS, TRAIN_LOSS)] == [6, 6, 6]
    log = browser.driver.get_log("performance")
    events = [json.loads(entry["message"])["message"] for entry in log]
    urls = {
        event["params"]["request"]["url"].partition(":")[0]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert urls <= {"file", "data", "blob"}


def test_browser_draws_averages_beside_raw_weights(browser, tmp_path):
    """Two experiments, and the average of one, which training examples do not have."""
    write_page(Results.read([RESULTS / "averages"]), tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    assert [browser.ask(lines(of)) for of in (METRIC, TEST_LOSS, TRAIN_LOSS)] == [3, 3, 2]


def test_browser_draws_the_values_of_the_records(browser, schedulers):
    results, path = schedulers
    browser.open(path)
    labels = browser.ask(
        f"[...document.querySelectorAll('{METRIC} .mark-symbol path')]"
        ".map(path => path.getAttribute('aria-label'))"
    )
    runs = results.runs_of("restarts")
    median = statistics.median(run.evaluations[-1]["test_accuracy"] for run in runs)
    *_, last = (label for label in labels if "restarts" in label)
    assert last == f"restarts: {100 * median:.2f}%"


def test_browser_changes_the_time_axis_by_keyboard(browser, schedulers):
    from selenium.webdriver.common.keys import Keys

    results, path = schedulers
    names = results.manifest.names
    browser.open(path)
    assert "updates" in browser.ask(words(METRIC))
    units = {
        "examples": (1000, "thousand examples"),
        "epoch": (1, "epochs"),
        "train_seconds": (1, "training seconds"),
    }
    for time_axis, (size, unit) in units.items():
        browser.find("input[name=time_axis]:checked").send_keys(Keys.ARROW_RIGHT)
        browser.until(f"return {words(METRIC)}.includes('{unit}')")
        assert browser.ask("document.activeElement.value") == time_axis
        for chart in (METRIC, TRAIN_LOSS, REACHED, NORM):
            browser.until(f"return {words(chart)}.includes('{unit}')")
        # The axis ends where the experiment that took longest does, and has few ticks.
        lasts = ([r.evaluations[-1][time_axis] for r in results.runs_of(name)] for name in names)
        end = max(map(statistics.median, lasts)) / size
        assert browser.ask("drawn[0].view.scale('x').domain()[1]") == pytest.approx(end, rel=1e-5)
        for chart in (METRIC, TRAIN_LOSS, NORM):
            ticks = f"document.querySelectorAll('{chart} .role-axis-label text').length"
            assert 6 <= browser.ask(ticks) <= 12  # of both axes


def test_browser_hides_an_experiment_by_keyboard(browser, schedulers):
    _, path = schedulers
    browser.open(path)
    browser.find('input[value="\\"group_norm\\""]').send_keys(" ")
    for chart, left in ((METRIC, 5), (NORM, 5), (REACHED, 5)):
        browser.until(f"return {lines(chart)} === {left}")
    # The others are in their colours, although the focus is on its name.
    browser.until(f"return new Set({strokes(METRIC)}).size > 3")
    browser.find('input[value="\\"group_norm\\""]').send_keys(" ")
    browser.until(f"return {lines(METRIC)} === 6")


@pytest.mark.parametrize("width", [360, 1280])
def test_browser_never_scrolls_sideways(browser, schedulers, width):
    browser.open(schedulers[1], width=width)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    drawn = f"document.querySelector('{METRIC} svg').getBoundingClientRect().width"
    assert width / 2 < browser.ask(drawn) < width
    # Nothing is behind the scroll of a table either, above all not the evidence.
    regions = "[...document.querySelectorAll('.scroll')]"
    assert not browser.ask(f"{regions}.some(r => r.scrollWidth > r.clientWidth)")


def test_browser_follows_the_preference_for_a_dark_theme(browser, schedulers):
    def brightness(script):
        colour = browser.ask(script)
        return sum(int(part) for part in colour.strip("rgb()").split(",")) / 3

    rule = f"{METRIC} .mark-rule.role-mark line[stroke-dasharray]"
    target = f"getComputedStyle(document.querySelector('{rule}')).stroke"
    paper = "getComputedStyle(document.body).backgroundColor"
    for scheme, is_dark in (("light", False), ("dark", True)):
        browser.open(schedulers[1], scheme=scheme)
        assert (brightness(paper) < 60) == is_dark
        assert (brightness(target) > 180) == is_dark


def test_an_experiment_is_pointed_out_by_keyboard_and_pointer(browser, schedulers):
    from selenium.webdriver.common.action_chains import ActionChains

    _, path = schedulers
    browser.open(path)
    colours = set(browser.ask(strokes(METRIC)))
    browser.ask(r"""document.querySelector('input[value="\\"restarts\\""]').focus()""")
    browser.until(f"return new Set({strokes(METRIC)}).size === 2")  # its own, and grey
    assert browser.ask("document.activeElement.matches(':focus-visible')")
    browser.ask("document.activeElement.blur()")
    browser.until(f"return new Set({strokes(METRIC)}).size === {len(colours)}")
    label = browser.find('label[data-name="\\"restarts\\""]')
    ActionChains(browser.driver).move_to_element(label).perform()
    browser.until(f"return new Set({strokes(METRIC)}).size === 2")
    ActionChains(browser.driver).move_to_element(browser.find("h1")).perform()
    browser.until(f"return new Set({strokes(METRIC)}).size === {len(colours)}")


def test_a_chart_that_cannot_be_drawn_leaves_a_sentence_and_the_others(
    browser, schedulers, tmp_path
):
    text = schedulers[1].read_text(encoding="utf-8")
    broken = text.replace("const controls", "specs['metric-1'].layer[0].mark = 7;const controls", 1)
    (tmp_path / "page.html").write_text(broken, encoding="utf-8")
    browser.open(tmp_path / "page.html")
    places = browser.ask("document.querySelectorAll('.chart').length")
    assert browser.ask("document.querySelectorAll('.chart svg.marks').length") == places - 1
    sentence = browser.ask("document.querySelector('.chart.failed').textContent")
    assert sentence.startswith("This chart could not be drawn")
    browser.driver.get_log("browser")


def test_touch_targets_are_large_and_rows_are_whole_on_a_phone(browser, schedulers):
    results, path = schedulers
    browser.open(path, width=360)
    heights = browser.ask(
        "[...document.querySelectorAll('.controls label, summary')]"
        ".filter(e => e.offsetParent).map(e => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44
    (heading, *rows), *_ = Page(path).tables
    place = results.manifest.names.index("restarts")
    row = f"[...document.querySelectorAll('table')[0].querySelectorAll('tbody tr')[{place}].cells]"
    cells = f"{row}.filter(c => c.textContent)"
    for cell in browser.ask(f"{cells}.map(c => c.getBoundingClientRect().toJSON())"):
        assert cell["height"] > 0 and 0 <= cell["left"] < cell["right"] <= 360
    named = browser.ask(f"{cells}.slice(1).map(c => getComputedStyle(c, '::before').content)")
    expected = [name for name, cell in zip(heading, rows[place], strict=True) if cell][1:]
    assert [name.strip('"') for name in named] == expected


def test_the_same_records_give_the_same_page(schedulers, tmp_path):
    results, path = schedulers
    again = Results.read([RESULTS / "lr_schedulers"])
    write_page(again, tmp_path / "page.html")
    assert again is not results
    assert (tmp_path / "page.html").read_bytes() == path.read_bytes()


def test_page_says_what_it_lacks_without_javascript(schedulers):
    text = schedulers[1].read_text(encoding="utf-8")
    _, _, rest = text.partition("<noscript>")
    said = " ".join(rest.partition("</noscript>")[0].split())
    assert "Without JavaScript the charts are missing: Test accuracy, Test loss," in said
