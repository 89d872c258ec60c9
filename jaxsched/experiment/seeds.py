"""The check of seeds, which all specs of several runs share."""

from collections.abc import Sequence

_MOST = 2**31  # what the compiled program takes


def require_seeds(owner: str, seeds: Sequence[int]) -> None:
    """Refuses seeds unless there is one, all are different, and each is within [0, 2**31).

    Raises:
        ValueError: otherwise.

    Example:
        >>> from jaxsched.experiment.seeds import require_seeds
        >>> require_seeds("Study", (0, 0))
        Traceback (most recent call last):
        ValueError: Study needs different seeds, at least one, within [0, 2**31), got (0, 0).
    """
    is_within = all(0 <= seed < _MOST for seed in seeds)
    if not seeds or len(set(seeds)) < len(seeds) or not is_within:
        raise ValueError(
            f"{owner} needs different seeds, at least one, within [0, 2**31), got {seeds}."
        )
