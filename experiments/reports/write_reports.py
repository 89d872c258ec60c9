"""Writes the reports of the studies in `results`, and README's tables, from the records alone.

    python experiments/reports/write_reports.py

A study is a folder with a study.json. Beside it go what `jaxsched report` writes and what the
study's own script STUDY_picture.py draws, where it has one. In README.md its tables stand between
lines `<!-- KIND: STUDY -->` and `<!-- end -->`. Of the kinds `table` is the study's, `comparisons`
that with its baseline, and `runs` its script's.
"""

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from jaxsched.bench import MANIFEST_FILE, RECORDS_FOLDER, Results, write_report
from jaxsched.bench.report.tables import markdown_comparisons, markdown_summaries
from jaxsched.experiment.files import load_module

EXPERIMENTS = Path(__file__).parents[1]
RESULTS = EXPERIMENTS / "results"
README = EXPERIMENTS.parent / "README.md"
OPENING = re.compile(r"^<!-- (\w+): (\w+) -->$", re.MULTILINE)
# Up to its own end, past no other marker.
MARKED = re.compile(rf"{OPENING.pattern}(?:(?!<!--).)*<!-- end -->", re.MULTILINE | re.DOTALL)


def summaries(study: str) -> str:
    """A row an experiment."""
    return markdown_summaries(Results.read([RESULTS / study]))


def comparisons(study: str) -> str:
    """Likewise, against the baseline."""
    return markdown_comparisons(Results.read([RESULTS / study]))


def runs(study: str) -> str:
    """The table of the study's own script."""
    script = loaded(picture_script(study))
    return script.table(script.load(RESULTS / study / RECORDS_FOLDER)) + "\n"


KINDS: Mapping[str, Callable[[str], str]] = {
    "table": summaries,
    "comparisons": comparisons,
    "runs": runs,
}


def picture_script(study: str) -> Path:
    """Where the study's own script would be."""
    return EXPERIMENTS / "studies" / f"{study}_picture.py"


@functools.cache
def loaded(script: Path) -> ModuleType:
    """Loaded once: scripts plan their studies, which takes seconds."""
    return load_module(script)


def with_tables(text: str) -> str:
    """The text with the tables that the records make now.

    Raises:
        ValueError: when a marker has no end, or its kind is none of `KINDS`.
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
    """As README has it; the empty lines keep Markdown from taking markers for rows."""
    return f"<!-- {kind}: {study} -->\n\n{KINDS[kind](study)}\n<!-- end -->"


def write_study(folder: Path) -> None:
    """Everything that is made from its records."""
    write_report(Results.read([folder]), folder)
    if (script := picture_script(folder.name)).exists():
        loaded(script).main(folder / RECORDS_FOLDER)


def main() -> None:
    """Writes all of it; nothing is trained."""
    for manifest in sorted(RESULTS.glob(f"*/{MANIFEST_FILE}")):
        write_study(manifest.parent)
        print(f"report in {manifest.parent}")
    text = README.read_text(encoding="utf-8")
    README.write_text(with_tables(text), encoding="utf-8")
    print(f"{len(OPENING.findall(text))} tables in {README}")


if __name__ == "__main__":
    main()
