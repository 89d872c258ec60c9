"""Compares a recipe with the config that it was made from, both trained in full. Imports no JAX."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxsched.metric import Metric
from jaxsched.tracking.records import Record
from jaxsched.tune.grid.ranking import Result, is_clearly_better
from jaxsched.tune.report import Report


class Comparison(NamedTuple):
    """Which of the two to take.

    Attributes:
        takes_recipe: whether the recipe is taken; otherwise the config as it was given.
        title: which is taken, in words.
        report: the values of both over the same seeds, and how sure the difference is.
    """

    takes_recipe: bool
    title: str
    report: Report


def compare(given: Sequence[Record], recipe: Sequence[Record], metric: Metric) -> Comparison:
    """Compares the last evaluations of two experiments, paired over seeds.

    The one with fewer runs that diverged is taken; of those with equally many, the one with the
    better mean over the seeds that both finished, and the given one where the means are equal. An
    experiment with an average of its weights is judged by the average.

    Args:
        given: the records of the config as it was given, one for each seed.
        recipe: the records of the recipe, of the same seeds.
        metric: the task's main metric.

    Example:
        >>> from jaxsched.metric import Metric
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.tune.recipe.comparison import compare
        >>> def run(name, seed, accuracy):
        ...     header = {"name": name, "seed": seed, "evaluated_on": "validation"}
        ...     return Record(header, ({"test_accuracy": accuracy},), {"status": "finished"})
        >>> given = [run("cycle", seed, 0.90 + 0.01 * seed) for seed in range(3)]
        >>> found = [run("recipe", seed, 0.93 + 0.01 * seed) for seed in range(3)]
        >>> compare(given, found, Metric("accuracy", "higher", is_share=True)).title
        'Taken: recipe, which does better than cycle as it was given'
    """
    before, after = _finals(given, metric), _finals(recipe, metric)
    shared = [seed for seed in before if seed in after]
    gains = [metric.gain(after[seed], before[seed]) for seed in shared]
    lost = (len(given) - len(before), len(recipe) - len(after))
    mean = statistics.fmean(gains) if gains else 0.0
    takes_recipe = lost[1] < lost[0] or (lost[1] == lost[0] and mean > 0)
    old, new = given[0].name, recipe[0].name
    title = (
        f"Taken: {new}, which does better than {old} as it was given"
        if takes_recipe
        else f"Taken: {old} as it was given, which {new} does not beat"
    )
    rows = [
        ("config", f"{metric.noun}{metric.unit}", "n", "diverged"),
        *(
            (name, metric.show_mean(*_mean_and_sd(finals)), str(len(finals)), str(count))
            for name, finals, count in zip((old, new), (before, after), lost, strict=True)
        ),
    ]
    heading = (
        f"Last {given[0].header['evaluated_on']} {metric.noun} of whole runs over the same seeds"
    )
    said = [_difference(old, new, gains, metric)] if gains else []
    if given[0].header["evaluated_on"] == "test":
        said.append(
            "Compared on test examples, because this source cannot hold out training examples."
        )
    return Comparison(takes_recipe, title, Report(heading, rows, said))


def _finals(records: Sequence[Record], metric: Metric) -> dict[int, float]:
    """The last value of each seed that did not diverge; the average's, where there is one."""
    column, finals = f"test_{metric.name}", {}
    for record in records:
        if record.end is not None and record.end["status"] == "diverged":
            continue
        last = record.evaluations[-1]
        averaged = last.get(f"averaged_{column}")
        finals[record.header["seed"]] = last[column] if averaged is None else averaged
    return finals


def _mean_and_sd(finals: Mapping[int, float]) -> tuple[float | None, float | None]:
    values = list(finals.values())
    return (
        statistics.fmean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
    )


def _difference(old: str, new: str, gains: Sequence[float], metric: Metric) -> str:
    """How far the recipe is ahead, and whether these seeds can tell that from luck."""
    mean = statistics.fmean(gains) * metric.scale
    unit = " points" if metric.is_share else ""
    ahead = f"{abs(mean):.3g}{unit} {'better' if mean > 0 else 'worse'}" if mean else "no better"
    if len(gains) < 2:
        return f"{new} is {ahead} than {old}; one seed cannot tell that from luck."
    spread = statistics.stdev(gains) * metric.scale
    # As losses, of which the lower ones are better.
    behind = {seed: math.copysign(1.0, mean) * gain for seed, gain in enumerate(gains)}
    zero = Result("", {}, dict.fromkeys(behind, 0.0), {}, {})
    is_clear = is_clearly_better(zero, Result("", {}, behind, {}, {}))
    sure = "a paired t test shows it" if is_clear else "these seeds cannot tell that from luck"
    return (
        f"{new} is {ahead} than {old}, ± {spread:.2g} over {len(gains)} pairs of one seed: {sure}."
    )
