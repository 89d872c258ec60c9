"""The manifest of a study: what a report needs beside the records. Imports no JAX."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from jaxsched.bench.study.target import MedianBest
from jaxsched.metric import Evaluate, Metric, bare_name
from jaxsched.output import make_folder, require_file_name, write_text
from jaxsched.text import visible
from jaxsched.tracking.records import Run

# The files of a study's folder.
MANIFEST_FILE = "study.json"
RECORDS_FOLDER = "records"
# Manifests from before there were other metrics name none.
TEST_ACCURACY = Metric("test_accuracy", "higher", is_share=True)


@dataclass(frozen=True)
class Published:
    """A value that others have published for an experiment.

    Attributes:
        value: the value of the study's metric; a share if that is one.
        source: where it was published and how it was measured: paper and table, network, number
            of runs.
    """

    value: float
    source: str = ""


def published_in(source: str, values: Mapping[str, float]) -> dict[str, Published]:
    """Makes the published values of one source, by an experiment's name.

    Args:
        source: where they were published, as in `Published`.
        values: the values of the study's metric by an experiment's name.

    Example:
        >>> from jaxsched.bench import published_in
        >>> published_in("a paper, table 1", {"cosine": 0.93})
        {'cosine': Published(value=0.93, source='a paper, table 1')}
    """
    return {name: Published(value, source) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class StudyManifest:
    """The facts about a study that a report needs beside its records.

    Attributes:
        name: the study's name.
        runs: all runs of the study, finished or not, in its order.
        target: the value to reach, or a rule that sets it.
        further_targets: more targets, over which the performance profile is computed.
        baseline: the name of the experiment that the others are compared with.
        published: the published values, by an experiment's name.
        metric: what is to reach the target, under the name of its column, such as `test_loss`.
        evaluate: the weights whose value counts, see `Study`.
        is_from_records: whether it was made from the records, see `manifest_of_records`, so that
            it grows with them.
    """

    name: str
    runs: tuple[Run, ...]
    target: float | MedianBest
    further_targets: tuple[float, ...]
    baseline: str
    published: Mapping[str, Published]
    metric: Metric = TEST_ACCURACY
    evaluate: Evaluate = "averaged"
    is_from_records: bool = False

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
    return "`jaxsched bench` writes one"


def _from_json(content: dict[str, Any]) -> dict[str, Any]:
    """The fields of a manifest. It may be that of others, so that everything is checked."""
    runs = tuple(_run(**run) for run in content["runs"])
    names = [run.name for run in runs]
    target = content["target"]
    metric = _metric(**content["metric"]) if "metric" in content else TEST_ACCURACY
    return {
        **content,
        "name": require_file_name("a study", content["name"]),
        "runs": runs,
        "target": _rule(names, **target)
        if isinstance(target, dict)
        else require_value(target, metric),
        "further_targets": tuple(
            require_value(further, metric) for further in content["further_targets"]
        ),
        "baseline": _one_of(names, content["baseline"]),
        "published": {
            name: _published(metric, **entry) for name, entry in content["published"].items()
        },
        "metric": metric,
        # Manifests from before there was a choice name none.
        "evaluate": _evaluate(content.get("evaluate", "averaged")),
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


def _metric(name: str, better: Any, is_share: bool) -> Metric:
    if bare_name(name) is None:
        raise ValueError(f"expected a metric such as test_accuracy, got {name!r:.40}")
    return Metric(visible(name), better, bool(is_share))


def _evaluate(weights: Any) -> Evaluate:
    if weights not in get_args(Evaluate):
        raise ValueError(f"expected evaluate as one of {get_args(Evaluate)}, got {weights!r:.40}")
    return weights


def _published(metric: Metric, source: str, **value: Any) -> Published:
    # Before there were other metrics than accuracy, the value went by its name.
    (found,) = (value[name] for name in ("value", "accuracy") if name in value)
    return Published(require_value(found, metric), visible(source))


def require_value(value: Any, metric: Metric) -> float:
    """Returns a value if the metric can have it; raises a ValueError if it cannot."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # JSON of others may hold whole numbers of more digits than a float has.
    low, high = (0, 1) if metric.is_share else (-1e300, 1e300)
    if not is_number or not low <= value <= high:
        within = " within [0, 1]" if metric.is_share else ", a finite number"
        raise ValueError(f"expected a {metric.words}{within}, got {value!r:.40}")
    return value
