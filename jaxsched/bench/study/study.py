"""A study: which experiments, which seeds, which target."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxsched.bench.study.manifest import Published, StudyManifest
from jaxsched.bench.study.target import MedianBest
from jaxsched.experiment import Experiment
from jaxsched.experiment.files import load_module
from jaxsched.tracking.records import Run


@dataclass(frozen=True, kw_only=True)
class Study:
    """Experiments to compare, each with the same seeds, by the steps that they need to a target.

    A study file holds one of these under the name `study`, or several sizes of one under the name
    `sizes`, as in `sizes = {"cpu": Study(…), "full": Study(…)}`.

    Attributes:
        name: what its folder and its pictures are called.
        experiments: what to compare; their own seeds are not looked at.
        seeds: each experiment runs once with each.
        target: test accuracy to reach, a share, or a rule that finds it in a baseline's runs.
        further_targets: others, a share each, over which performance profiles are taken as well.
        baseline: the experiment that the others are compared with; by default the first.
        published: what others have published, by an experiment's name.

    Raises:
        ValueError: when names repeat, there is nothing to run, a name is of no experiment, or a
            target is no share.

    Example: `experiments/studies/quickstart.py`.
    """

    name: str
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...]
    target: float | MedianBest
    further_targets: tuple[float, ...] = ()
    baseline: str | None = None
    published: Mapping[str, Published] = field(default_factory=dict)

    def __post_init__(self):
        names = [experiment.name for experiment in self.experiments]
        if not self.experiments or not self.seeds:
            raise ValueError(
                "Study needs at least one experiment and one seed, got "
                f"{len(self.experiments)} and {len(self.seeds)}."
            )
        if len(set(names)) < len(names):
            raise ValueError(f"Study needs a name of its own for each experiment, got {names}.")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"Study needs different seeds, got {self.seeds}.")
        for target in (self.target, *self.further_targets):
            if not isinstance(target, MedianBest) and not 0 < target <= 1:
                raise ValueError(f"Study needs a target accuracy within (0, 1], got {target}.")
        self._require_known("baseline", self.baseline)
        self._require_known("target", getattr(self.target, "baseline", None))
        for name in self.published:
            self._require_known("published", name)

    def _require_known(self, what: str, name: str | None) -> None:
        names = [experiment.name for experiment in self.experiments]
        if name is not None and name not in names:
            raise ValueError(f"Study needs a {what} among its experiments {names}, got {name!r}.")

    def manifest(self) -> StudyManifest:
        """The study without its experiments, as it is kept beside the records."""
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
        )


def load_study(path: Path, size: str | None = None) -> Study:
    """The study that a file holds, in the size that is asked for.

    Args:
        path: the file.
        size: a key of its `sizes`; by default the first.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file has an error, holds no study or not this size.
    """
    module = load_module(path)
    study = getattr(module, "study", None)
    sizes: Mapping[str | None, Any] = getattr(module, "sizes", None) or {None: study}
    chosen = sizes.get(size) if size is not None else next(iter(sizes.values()))
    if isinstance(chosen, Study):
        return chosen
    if size is not None:
        said = f"has the sizes {list(sizes)}" if None not in sizes else "has one size alone"
        raise ValueError(f"{path} {said}, got --size {size}.")
    found = f"a {type(chosen).__name__}" if chosen is not None else "no such name"
    raise ValueError(
        f"{path} must hold a Study under the name 'study', found {found}; "
        'write `study = Study(…)`, or `sizes = {"cpu": Study(…), …}`.'
    )
