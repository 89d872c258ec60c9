"""All that is said of a study, from its outline and its records. Knows no JAX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxsched.bench.outline import Outline
from jaxsched.bench.records import Record, read_record
from jaxsched.bench.statistics import (
    Comparison,
    Summary,
    cautions,
    compare_accuracy,
    compare_times,
    summarise,
)
from jaxsched.bench.target import Target, resolved

OUTLINE_FILE = "study.json"
RECORDS_FOLDER = "records"


@dataclass(frozen=True)
class Results:
    """A study's results: what every table, picture and page is made from.

    Attributes:
        outline: of the study.
        records: of its runs that came to their end or died, in its order.
        target: accuracy to reach, with its origin.
        summaries: one an experiment.
        by_accuracy: each experiment's final accuracy against the baseline's.
        by_steps: likewise, its updates to the target.
        cautions: what a reader must be told first.
    """

    outline: Outline
    records: tuple[Record, ...]
    target: Target
    summaries: tuple[Summary, ...]
    by_accuracy: tuple[Comparison, ...]
    by_steps: tuple[Comparison, ...]
    cautions: tuple[str, ...]

    @classmethod
    def of(cls, outline: Outline, records: Sequence[Record]) -> "Results":
        """Computes them.

        Args:
            outline: of the study.
            records: of its runs, in any order; those that were cut off and those of other
                experiments are left out.

        Raises:
            ValueError: when none of its runs has finished, or the target's baseline has not.
        """
        # A run that died may have come to its end elsewhere.
        results = sorted((r for r in records if r.is_result), key=lambda r: r.is_complete)
        found = {(r.name, r.header["digest"], r.header["seed"]): r for r in results}
        runs = [(run.name, run.digest, run.seed) for run in outline.runs]
        made = tuple(found[run] for run in runs if run in found)
        if not made:
            raise ValueError(
                f"none of the {len(runs)} runs of {outline.name} has a finished record among the "
                f"{len(records)} that were read; run `jaxsched bench` on its file first."
            )
        target = resolved(outline.target, made)
        return cls(
            outline=outline,
            records=made,
            target=target,
            summaries=tuple(summarise(made, target.accuracy)),
            by_accuracy=tuple(compare_accuracy(made, outline.baseline)),
            by_steps=tuple(compare_times(made, outline.baseline, target.accuracy, "step")),
            cautions=tuple(cautions(outline, made, target)),
        )

    @classmethod
    def read(cls, folders: Sequence[Path]) -> "Results":
        """Computes them from folders of one study, such as several hosts have each a part of.

        Args:
            folders: each with the study's outline and its records. Of a run that two of them hold
                the first counts, unless it died there.

        Raises:
            FileNotFoundError: when a folder is none of a study.
            ValueError: when they are not of the same study, a record is damaged, or `of` raises.
        """
        outlines = [Outline.read(folder / OUTLINE_FILE) for folder in folders]
        for folder, outline in zip(folders, outlines, strict=True):
            if outline != outlines[0]:
                raise ValueError(
                    f"{folder} holds another study, or other runs of it, than {folders[0]}; give "
                    "the folders of one study, made from one file."
                )
        paths = [path for folder in folders for path in _records(folder)]
        # The first one wins.
        return cls.of(outlines[0], [read_record(path) for path in reversed(paths)])


def _records(folder: Path) -> list[Path]:
    return sorted((folder / RECORDS_FOLDER).glob("*.jsonl"))
