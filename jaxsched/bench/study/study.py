"""A study: its experiments, seeds and target, and the files that hold it."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxsched.bench.study.manifest import Published, StudyManifest
from jaxsched.bench.study.target import MedianBest
from jaxsched.experiment import Experiment
from jaxsched.experiment.files import held_instead, load_module
from jaxsched.experiment.seeds import require_seeds
from jaxsched.field_types import check_field_types
from jaxsched.metric import Evaluate, Metric
from jaxsched.output import require_file_name
from jaxsched.tracking.records import Run


@dataclass(frozen=True, kw_only=True)
class Study:
    """Experiments to compare by the steps that they need to reach a target, with the same seeds.

    A study file holds one Study under the name `study`, or several sizes of a study under the name
    `sizes`, as in `sizes = {"cpu": Study(…), "full": Study(…)}`.

    Attributes:
        name: the study's name, which is also that of its folder and the title of its plots.
        experiments: the experiments to compare; their own seeds are ignored.
        seeds: each experiment runs once with each seed.
        target: the value to reach, or a rule that sets it from a baseline's runs.
        further_targets: more targets, over which the performance profile is computed.
        baseline: the name of the experiment that the others are compared with; by default the
            first.
        published: the published values, by an experiment's name.
        metric: what is to reach the target: a column of the evaluations, such as `test_loss`. By
            default that of the task's main metric on test examples.
        evaluate: the weights whose value of the metric counts at an evaluation. "averaged" is the
            average wherever the experiment has one by then, and before that the raw weights: those
            that one would use if training ended there. "raw" is the raw weights, also of
            experiments with an average. "better" is the better of the two at each evaluation,
            which is optimistic: it looks at the test examples twice and keeps the luckier look.

    Raises:
        ValueError: if the name is none of a folder, if names or seeds repeat, if there is nothing
            to run, if a name belongs to no experiment, if the experiments do not all measure the
            same, or if a target is none that it can reach.

    Example: `experiments/studies/quickstart.py`.
    """

    name: str
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...]
    target: float | MedianBest
    further_targets: tuple[float, ...] = ()
    baseline: str | None = None
    published: Mapping[str, Published] = field(default_factory=dict)
    metric: str | None = None
    evaluate: Evaluate = "averaged"

    def __post_init__(self):
        check_field_types(self)
        require_file_name("Study", self.name)
        names = [experiment.name for experiment in self.experiments]
        if not self.experiments:
            raise ValueError("Study needs at least one experiment, got none.")
        require_seeds("Study", self.seeds)
        if len(set(names)) < len(names):
            raise ValueError(f"Study needs a different name for each experiment, got {names}.")
        metric = self.measured
        for target in (self.target, *self.further_targets):
            if not isinstance(target, MedianBest) and not _can_reach(metric, target):
                within = " within (0, 1]" if metric.is_share else ", a finite number"
                raise ValueError(f"Study needs a target {metric.noun}{within}, got {target}.")
        self._require_known("baseline", self.baseline)
        self._require_known("target", getattr(self.target, "baseline", None))
        for name in self.published:
            self._require_known("published", name)

    def _require_known(self, what: str, name: str | None) -> None:
        names = [experiment.name for experiment in self.experiments]
        if name is not None and name not in names:
            raise ValueError(f"Study needs a {what} among its experiments {names}, got {name!r}.")

    @property
    def measured(self) -> Metric:
        """The metric that is to reach the target, under the name of its column."""
        first, *others = self.experiments
        for other in others:
            if _measures(other) != _measures(first):
                raise ValueError(
                    "Study needs experiments with tasks of one kind that measure the same, got "
                    f"{first.name} with {_measures(first)} and {other.name} with "
                    f"{_measures(other)}; make a study of each."
                )
        column, known = self.metric or f"test_{first.task.main_metric.name}", first.task.columns
        if column not in known:
            raise ValueError(
                f"Study needs a metric that its experiments measure, one of {list(known)}, got "
                f"{column!r}."
            )
        return dataclasses.replace(known[column], name=column)

    def manifest(self) -> StudyManifest:
        """Returns the manifest: the study without its experiments, as saved beside the records."""
        return StudyManifest(
            name=self.name,
            runs=tuple(
                Run(experiment.name, experiment.digest(), seed)
                for experiment in self.experiments
                for seed in self.seeds
            ),
            target=self.target,
            further_targets=self.further_targets,
            baseline=self.baseline or self.experiments[0].name,
            published=self.published,
            metric=self.measured,
            evaluate=self.evaluate,
        )


def _measures(experiment: Experiment) -> str:
    """The kind of the experiment's task and what it measures, in words."""
    task = experiment.task
    metrics = (f"{metric.name} ({metric.better} is better)" for metric in task.metrics)
    return f"{type(task).__name__}: {', '.join(metrics)}"


def _can_reach(metric: Metric, target: float) -> bool:
    return 0 < target <= 1 if metric.is_share else math.isfinite(target)


def load_study(path: Path, size: str | None = None) -> Study:
    """Loads a study from a Python file.

    Args:
        path: the study file.
        size: a key of its `sizes`; by default the first.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file has an error, or holds no study or not this size.
    """
    module = load_module(path)
    study = getattr(module, "study", None)
    sizes: Mapping[str | None, Any] = getattr(module, "sizes", None) or {None: study}
    if not isinstance(sizes, Mapping):
        raise ValueError(
            f"{path} must hold the sizes of a study as a dict, found a {type(sizes).__name__}; "
            'write `sizes = {"cpu": Study(…), …}`.'
        )
    chosen = sizes.get(size) if size is not None else next(iter(sizes.values()))
    if isinstance(chosen, Study):
        return chosen
    if size is not None:
        known = f"the sizes {list(sizes)}" if None not in sizes else "only one size"
        raise ValueError(f"{path} has {known}, got --size {size}.")
    found = f"a {type(chosen).__name__}" if chosen is not None else "no such name"
    raise ValueError(
        f"{path} must hold a Study under the name 'study', found {found}; "
        'write `study = Study(…)`, or `sizes = {"cpu": Study(…), …}`'
        f"{held_instead(path, module, 'study')}."
    )
