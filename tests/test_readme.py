"""README's Python blocks run, print what stands below them, and its links and numbers hold."""

import re
from pathlib import Path

import pytest

from jaxsched.bench import Results

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "experiments/README.md", "experiments/CHANGELOG.md")

# Each block, and what the README says that it prints.
BLOCKS = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```", README, re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


def test_every_block_has_its_output_below():
    assert len(BLOCKS) == README.count("```python") >= 5
    assert len(README.splitlines()) <= 230


# The block that trains a network takes the time of all the others.
SLOW = {"fit": pytest.mark.slow}


@pytest.mark.parametrize(
    "code, expected",
    [
        pytest.param(*block, id=name, marks=SLOW.get(name, ()))
        for block, name in zip(BLOCKS, ("chain", "nnx", "fit", "recorder", "trade"), strict=True)
    ],
)
def test_a_block_runs_by_itself_and_prints_what_stands_below(
    code, expected, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "readme"})
    printed = capsys.readouterr().out
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", expected)
    # Another kind of processor adds in another order, so that an accuracy may differ a little.
    close = pytest.approx([float(number) for number in NUMBER.findall(expected)], rel=0.03)
    assert [float(number) for number in NUMBER.findall(printed)] == close


def test_the_quickstart_s_sentence_is_that_of_its_records():
    results = Results.read([ROOT / "experiments" / "results" / "quickstart"])
    found = {summary.name: summary for summary in results.summaries}
    steps, cosine, cycle, constant = (
        found[n] for n in ("multi_step", "cosine", "one_cycle", "constant")
    )
    sentence = (
        f"Steps and cosine reach {results.target.value:.0%} in a median of {steps.steps:.0f} "
        f"updates, with {steps.reached} of {steps.seeds} seeds, 1cycle with all five, in "
        f"{cycle.steps:.0f}; a constant learning rate with {constant.reached} of {constant.seeds}, "
        f"and it ends at {100 * constant.final_mean:.2f} ± {100 * constant.final_sd:.2f} %. "
        "With five seeds no difference is shown"
    ).replace("96%", "96 %")
    assert (cosine.steps, cosine.reached) == (steps.steps, steps.reached)
    assert cycle.reached == cycle.seeds == 5
    compared = (*results.by_final, *results.by_steps)
    assert not any(comparison.is_significant for comparison in compared)
    assert sentence in " ".join(README.split())


def anchors(page):
    """The anchors of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_heading_that_a_page_names_exists(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = folder / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.relative_to(ROOT)), link
    named = re.findall(r"(?<![\w/])((?:configs|experiments|tests)/[\w./]*[\w/])", text)
    if not page.endswith("CHANGELOG.md"):  # which also names what is gone
        assert [path for path in named if not (ROOT / path).exists()] == []
