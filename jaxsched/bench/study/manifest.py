"""What a report must know of a study: its runs, its target, what is published. Knows no JAX."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxsched.bench.study.target import MedianBest
from jaxsched.tracking.records import Run


@dataclass(frozen=True)
class Published:
    """A number that others have published for an experiment.

    Attributes:
        accuracy: test accuracy, a share.
        source: where, and on what: paper and table, network, number of runs.
    """

    accuracy: float
    source: str = ""


def published_in(source: str, accuracies: Mapping[str, float]) -> dict[str, Published]:
    """What one source has published, by an experiment's name.

    Args:
        source: see `Published`.
        accuracies: test accuracies, a share each.

    Example:
        >>> from jaxsched.bench import published_in
        >>> published_in("a paper, table 1", {"cosine": 0.93})
        {'cosine': Published(accuracy=0.93, source='a paper, table 1')}
    """
    return {name: Published(accuracy, source) for name, accuracy in accuracies.items()}


@dataclass(frozen=True, kw_only=True)
class StudyManifest:
    """What a report must know of a study beside its records.

    Attributes:
        name: of the study.
        runs: all that belong to it, whether they have been made or not, in its order.
        target: see `Study`.
        further_targets: likewise.
        baseline: name of the experiment that the others are compared with.
        published: see `Study`.
    """

    name: str
    runs: tuple[Run, ...]
    target: float | MedianBest
    further_targets: tuple[float, ...]
    baseline: str
    published: Mapping[str, Published]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the experiments, in the study's order."""
        return tuple(dict.fromkeys(run.name for run in self.runs))

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "StudyManifest":
        """Reads what `write` wrote.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when it holds something else.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"expected a study's folder, with {path.name} in it, got {path.parent}; "
                "`jaxsched bench` writes one."
            )
        try:
            return cls(**_typed(json.loads(path.read_text(encoding="utf-8"))))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} does not hold a study's outline ({error!r}); move it away and run "
                "`jaxsched bench` again, which writes it anew."
            ) from error


def _typed(content: dict[str, Any]) -> dict[str, Any]:
    target = content["target"]
    return {
        **content,
        "runs": tuple(Run(**run) for run in content["runs"]),
        "target": MedianBest(**target) if isinstance(target, dict) else target,
        "further_targets": tuple(content["further_targets"]),
        "published": {name: Published(**of) for name, of in content["published"].items()},
    }
