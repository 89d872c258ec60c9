"""The manifest of a study: what a report needs beside the records. Imports no JAX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxsched.bench.study.target import MedianBest
from jaxsched.output import make_folder, require_file_name, write_text
from jaxsched.text import visible
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
        make_folder(path.parent)
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "StudyManifest":
        """Reads a manifest that `write` wrote.

        Raises:
            FileNotFoundError: if the file does not exist.
            ValueError: if it is not a study's manifest, or a name in it leads to another folder.
        """
        if not path.is_file():
            raise FileNotFoundError(
                f"expected a study's folder, with {path.name} in it, got {path.parent}; "
                f"{_instead(path)}."
            )
        try:
            return cls(**_from_json(json.loads(path.read_text(encoding="utf-8-sig"))))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
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
    """The fields of a manifest. It may be that of others, so that everything is checked."""
    runs = tuple(_run(**run) for run in content["runs"])
    names = [run.name for run in runs]
    target = content["target"]
    return {
        **content,
        "name": require_file_name("a study", content["name"]),
        "runs": runs,
        "target": _rule(names, **target) if isinstance(target, dict) else _share(target),
        "further_targets": tuple(map(_share, content["further_targets"])),
        "baseline": _one_of(names, content["baseline"]),
        "published": {
            name: Published(_share(entry["accuracy"]), visible(entry["source"]))
            for name, entry in content["published"].items()
        },
    }


def _run(name: str, digest: str, seed: int) -> Run:
    run = Run(require_file_name("an experiment", name), digest, seed)
    if isinstance(seed, bool) or not isinstance(seed, int) or not run.file_name:
        raise ValueError(f"expected a whole number as seed, got {seed!r}")
    return run


def _rule(names: Sequence[str], baseline: str) -> MedianBest:
    return MedianBest(_one_of(names, baseline))


def _one_of(names: Sequence[str], name: str) -> str:
    if name not in names:
        raise ValueError(f"expected an experiment of the study as baseline, got {name!r}")
    return name


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"expected an accuracy within [0, 1], got {value!r:.40}")
    return value
