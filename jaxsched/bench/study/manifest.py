"""The manifest of a study: what a report needs beside the records. Imports no JAX."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxsched.bench.study.target import MedianBest
from jaxsched.tracking.records import Run


@dataclass(frozen=True)
class Published:
    """An accuracy that others have published for an experiment.

    Attributes:
        accuracy: the test accuracy, a share.
        source: where it was published and how it was measured: paper and table, network, number
            of runs.
    """

    accuracy: float
    source: str = ""


def published_in(source: str, accuracies: Mapping[str, float]) -> dict[str, Published]:
    """Makes the published accuracies of one source, by an experiment's name.

    Args:
        source: where they were published, as in `Published`.
        accuracies: the test accuracies by an experiment's name, each a share.

    Example:
        >>> from jaxsched.bench import published_in
        >>> published_in("a paper, table 1", {"cosine": 0.93})
        {'cosine': Published(accuracy=0.93, source='a paper, table 1')}
    """
    return {name: Published(accuracy, source) for name, accuracy in accuracies.items()}


@dataclass(frozen=True, kw_only=True)
class StudyManifest:
    """The facts about a study that a report needs beside its records.

    Attributes:
        name: the study's name.
        runs: all runs of the study, finished or not, in its order.
        target: the test accuracy to reach, a share, or a rule that sets it.
        further_targets: more targets, over which the performance profile is computed.
        baseline: the name of the experiment that the others are compared with.
        published: the published accuracies, by an experiment's name.
    """

    name: str
    runs: tuple[Run, ...]
    target: float | MedianBest
    further_targets: tuple[float, ...]
    baseline: str
    published: Mapping[str, Published]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the experiments, in the study's order."""
        return tuple(dict.fromkeys(run.name for run in self.runs))

    def write(self, path: Path) -> None:
        """Writes the manifest as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StudyManifest":
        """Reads a manifest that `write` wrote.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if it is not a study's manifest.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"expected a study's folder, with {path.name} in it, got {path.parent}; "
                f"{_instead(path)}."
            )
        try:
            return cls(**_from_json(json.loads(path.read_text(encoding="utf-8"))))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} does not hold a study's manifest ({error!r}); move it away and run "
                "`jaxsched bench` again, which writes it anew."
            ) from error


def _instead(path: Path) -> str:
    """Says what to report instead of a folder that has no manifest."""
    folder = path.parent
    near = [folder.parent, *sorted(found.parent for found in folder.glob(f"*/{path.name}"))]
    if found := [study for study in near if (study / path.name).is_file()]:
        return f"give {' or '.join(map(str, found))}"
    if any(folder.glob("*.jsonl")):
        return (
            "it holds runs of `jaxsched train`, which are reported as part of a study: put their "
            "experiments and seeds into a Study and run `jaxsched bench` on its file"
        )
    return "`jaxsched bench` writes one"


def _from_json(content: dict[str, Any]) -> dict[str, Any]:
    target = content["target"]
    return {
        **content,
        "runs": tuple(Run(**run) for run in content["runs"]),
        "target": MedianBest(**target) if isinstance(target, dict) else target,
        "further_targets": tuple(content["further_targets"]),
        "published": {name: Published(**entry) for name, entry in content["published"].items()},
    }
