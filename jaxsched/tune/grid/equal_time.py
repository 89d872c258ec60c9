"""Batch sizes at equal training time, each with its whole schedule. Imports no JAX."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TypeVar

from jaxsched.tune.grid.ranking import Ranking, Result

_Size = TypeVar("_Size")

# Times that differ by more than this share are said.
_UNEQUAL = 0.15


def epochs_at_equal_time(
    seconds: Mapping[_Size, Sequence[float]], epochs: float
) -> dict[_Size, float]:
    """Returns for each batch size the epochs that take as long as those of the fastest one.

    Formula, with t_B the median of the seconds at batch size B:
        epochs · min t / t_B, to three digits

    The schedule of each run ends with it, so that no size is judged in the middle of a cycle.

    Args:
        seconds: the training seconds of runs of `epochs` epochs, by batch size. Compilation and
            evaluation do not count as training.
        epochs: the epochs of these runs.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 4.2: batch sizes are to be compared at equal time.

    Example:
        >>> from jaxsched.tune.grid.equal_time import epochs_at_equal_time
        >>> epochs_at_equal_time({16: [8.0, 8.2], 64: [2.0, 2.1, 9.0]}, epochs=4)
        {16: 1.04, 64: 4}
    """
    medians = {size: statistics.median(times) for size, times in seconds.items() if times}
    fastest = min(medians.values(), default=0.0)
    return {
        size: epochs if median == fastest else float(f"{epochs * fastest / median:.3g}")
        for size, median in medians.items()
    }


def equal_time_statements(results: Sequence[Result], ranking: Ranking) -> list[str]:
    """Returns sentences on the best batch size at equal time, and on how equal the times were.

    Args:
        results: the results of runs of about equal time.
        ranking: their ranking.
    """
    times = [statistics.fmean(r.seconds.values()) for r in results if r.seconds]
    if not times:
        return ["At equal time no run finished."]
    said = [
        f"At equal time, {statistics.fmean(times):.3g} training seconds a run, each with its whole "
        f"schedule. {' '.join(ranking.statements)}"
    ]
    if max(times) > (1 + _UNEQUAL) * min(times):
        said.append(
            f"The times were not that equal: the runs took from {min(times):.3g} to "
            f"{max(times):.3g} seconds, because other work ran on the machine, or because they are "
            "too short to measure; train more epochs."
        )
    return said
