"""The entries of configs by their places, and those in which configs differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def config_entries(
    config: Mapping[str, Any] | Sequence[Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yields the entries of a config with their places, such as `("phases.0.epochs", 12)`."""
    for name, value in config.items() if isinstance(config, Mapping) else enumerate(config):
        if isinstance(value, Mapping | list):
            yield from config_entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def differing_places(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the places at which the entries of configs are not all the same.

    Example:
        >>> from jaxsched.tracking.config_entries import differing_places
        >>> differing_places([{"lr.peak": 0.1, "seed": 0}, {"lr.peak": 0.3, "seed": 0}])
        ['lr.peak']
    """
    places = dict.fromkeys(place for found in entries for place in found)
    return [p for p in places if len({repr(found.get(p)) for found in entries}) > 1]
