"""Writes the reports of the studies in `results` and the tables of the READMEs, from the records.

    python experiments/reports/write_reports.py

Nothing is trained. A study is a folder with a study.json; into it go what `jaxsched report` writes
and the figure of the study's own script `figures/STUDY.py`, if it has one. In README.md and
experiments/README.md each table stands between lines `<!-- KIND: STUDY -->` and `<!-- end -->`. The
kinds: `table` has a row for each experiment, `comparisons` compares each with the baseline, and
`runs` is the table of the study's own script.
"""

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from jaxsched.bench import MANIFEST_FILE, Results, write_report
from jaxsched.bench.report.tables import markdown_comparisons, markdown_summaries
from jaxsched.experiment import load_module

EXPERIMENTS = Path(__file__).parents[1]
RESULTS = EXPERIMENTS / "results"
READMES = (EXPERIMENTS.parent / "README.md", EXPERIMENTS / "README.md")
OPENING = re.compile(r"^<!-- (\w+): (\w+) -->$", re.MULTILINE)
# From a marker to its own end: a match contains no other marker.
MARKED = re.compile(rf"{OPENING.pattern}(?:(?!<!--).)*<!-- end -->", re.MULTILINE | re.DOTALL)


def summaries(study: str) -> str:
    """The study's table."""
    return markdown_summaries(Results.read([RESULTS / study]))


def comparisons(study: str) -> str:
    """The study's comparisons with its baseline."""
    return markdown_comparisons(Results.read([RESULTS / study]))


def runs(study: str) -> str:
    """The table of the study's own script."""
    script = loaded(figure_script(study))
    return script.table(script.figures.load(RESULTS / study))


KINDS: Mapping[str, Callable[[str], str]] = {
    "table": summaries,
    "comparisons": comparisons,
    "runs": runs,
}


def figure_script(study: str) -> Path:
    """The path of the study's own script, or of the study that it is a variant of.

    Most studies have none.
    """
    own = EXPERIMENTS / "figures" / f"{study}.py"
    family = own.with_name(f"{study.rpartition('_')[0]}.py")
    return family if family.exists() else own


@functools.cache
def loaded(script: Path) -> ModuleType:
    """Loads a script once: scripts plan their studies, which takes seconds."""
    return load_module(script)


def with_tables(text: str) -> str:
    """Replaces the marked tables by those that the records give now.

    Raises:
        ValueError: when a marker has no end, or its kind is not one of `KINDS`.
    """
    markers, ended = OPENING.findall(text), MARKED.findall(text)
    if markers != ended:
        raise ValueError(
            f"expected <!-- end --> after each table of {markers}, found one after {ended} alone."
        )
    if unknown := [marker for marker in markers if marker[0] not in KINDS]:
        raise ValueError(f"expected tables of the kinds {list(KINDS)}, got {unknown}.")
    return MARKED.sub(lambda marked: table_between_markers(*marked.groups()), text)


def table_between_markers(kind: str, study: str) -> str:
    """A table with its markers; the empty lines keep Markdown from taking markers for rows."""
    return f"<!-- {kind}: {study} -->\n\n{KINDS[kind](study)}\n<!-- end -->"


def write_study(folder: Path) -> None:
    """Writes everything that is made from the study's records."""
    write_report(Results.read([folder]), folder)
    if (path := figure_script(folder.name)).exists():
        script = loaded(path)
        script.draw(script.figures.load(folder), folder / script.FIGURE)


def main() -> None:
    """Writes all reports and tables."""
    for manifest in sorted(RESULTS.glob(f"*/{MANIFEST_FILE}")):
        write_study(manifest.parent)
        print(f"report in {manifest.parent}")
    for readme in READMES:
        text = readme.read_text(encoding="utf-8")
        readme.write_text(with_tables(text), encoding="utf-8")
        print(f"{len(OPENING.findall(text))} tables in {readme}")


if __name__ == "__main__":
    main()
