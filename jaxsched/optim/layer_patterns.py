"""Chooses parameters by the names of their layers."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax


def parameter_names(params: Any) -> list[str]:
    """Returns the path of each parameter as text, in the order of the tree's leaves.

    Example:
        >>> from jaxsched.optim.layer_patterns import parameter_names
        >>> parameter_names({"head": {"kernel": 1.0, "bias": 0.0}, "stem": {"kernel": 1.0}})
        ['head/bias', 'head/kernel', 'stem/kernel']
    """
    paths = [path for path, _ in jax.tree.leaves_with_path(params)]
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path in paths]


def layer_of(parameter: str) -> str:
    """Returns the name of a parameter's layer, which is its path without its own name."""
    return parameter.rpartition("/")[0]


def matches(parameter: str, pattern: str) -> bool:
    """Returns whether a pattern names a parameter, or the layer that it belongs to.

    Patterns are those of file names: `*` stands for any text, also over several levels, and `?`
    for one letter.

    Example:
        >>> from jaxsched.optim.layer_patterns import matches
        >>> [matches("stage1/conv/bias", pattern) for pattern in ("stage*", "*/bias", "stage1")]
        [True, True, False]
    """
    return fnmatchcase(layer_of(parameter), pattern) or fnmatchcase(parameter, pattern)


def first_matches(
    owner: str, parameters: Iterable[str], patterns: Sequence[str]
) -> dict[str, int | None]:
    """Returns for each parameter the index of the first pattern that names it, None for none.

    Args:
        owner: the field that holds the patterns, for the error.
        parameters: the parameters' names.
        patterns: the patterns, of which the first one that names a parameter counts.

    Raises:
        ValueError: when a pattern is the first of no parameter; the message has the layers' names.
    """
    found = {
        name: next((i for i, pattern in enumerate(patterns) if matches(name, pattern)), None)
        for name in parameters
    }
    for index, pattern in enumerate(patterns):
        if index not in found.values():
            hidden = any(matches(name, pattern) for name in found)
            got = "one whose layers earlier patterns name already" if hidden else "one of no layer"
            layers = dict.fromkeys(layer_of(name) or name for name in found)
            raise ValueError(
                f"{owner} need patterns of layers' names, got {pattern!r}, {got}; the layers are "
                f"{', '.join(layers)}."
            )
    return found
