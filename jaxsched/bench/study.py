"""A study: which experiments, which seeds, which target."""

from dataclasses import dataclass

from jaxsched.train import Experiment


@dataclass(frozen=True, kw_only=True)
class Study:
    """Experiments to compare, each with the same seeds, by the steps that they need to a target.

    A study file holds one of these under the name `study`.

    Attributes:
        name: what its folder and its pictures are called.
        experiments: what to compare; their own seeds are not looked at.
        seeds: each experiment runs once with each.
        target: test accuracy to reach, a share.

    Raises:
        ValueError: when names repeat, there is nothing to run or the target is no share.

    Example: `experiments/quickstart.py`.
    """

    name: str
    experiments: tuple[Experiment, ...]
    seeds: tuple[int, ...]
    target: float

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
        if not 0 < self.target <= 1:
            raise ValueError(f"Study needs a target accuracy within (0, 1], got {self.target}.")
