"""Takes layers of another run, for a run that starts from them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsched.experiment.pretrained import Pretrained
from jaxsched.models import Variables
from jaxsched.optim.layer_patterns import first_matches, layer_of, matches, parameter_names
from jaxsched.train.checkpointing.integrity import (
    arrays_checksum,
    layout_differences,
    layout_of,
)
from jaxsched.train.loading.trained_run import TrainedRun, load_run

_KINDS = ("params", "batch_stats")


class PretrainedLayers(NamedTuple):
    """The layers that a run starts from.

    Attributes:
        arrays: the parameters and batch statistics by their names, in "params" and "batch_stats".
        origin: what they are, as JSON: the run, its step, the layers, and a checksum.
    """

    arrays: Mapping[str, Mapping[str, np.ndarray]]
    origin: Mapping[str, Any]

    def put_into(self, variables: Variables) -> Variables:
        """Returns the variables with these layers in place of their own."""

        def replaced(kind: str) -> Any:
            leaves = {**_by_name(variables[kind]), **self.arrays[kind]}
            return jax.tree.unflatten(jax.tree.structure(variables[kind]), leaves.values())

        return {kind: replaced(kind) for kind in _KINDS}


def load_pretrained(pretrained: Pretrained, like: Variables) -> PretrainedLayers:
    """Reads the layers of another run, which must be those of this network.

    Args:
        pretrained: which layers of which run.
        like: the shapes of this network's variables.

    Raises:
        FileNotFoundError: when there is no such run or checkpoint.
        ValueError: when a pattern names no layer of this network, or a layer that it names is not
            in the other run or has another shape there; names the layers.
    """
    first_matches("Pretrained's layers", parameter_names(like["params"]), pretrained.layers)
    run = load_run(pretrained.run, pretrained.checkpoint)
    theirs = run.averaged_variables if pretrained.averaged else run.variables
    ours, theirs = ({kind: _by_name(tree[kind]) for kind in _KINDS} for tree in (like, theirs))
    names = {
        kind: [n for n in ours[kind] if any(matches(n, p) for p in pretrained.layers)]
        for kind in _KINDS
    }
    expected, found = (_layouts(tree, names) for tree in (ours, theirs))
    if wrong := layout_differences(found, expected):
        raise ValueError(
            f"the layers {', '.join(map(repr, pretrained.layers))} do not fit those of {run.path}: "
            f"{wrong}. Leave them out of Pretrained's layers, so that they are drawn anew, or use "
            "the same network."
        )
    arrays = {kind: {name: theirs[kind][name] for name in names[kind]} for kind in _KINDS}
    return PretrainedLayers(arrays, _origin(run, pretrained, arrays))


def _by_name(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their names, in their order."""
    return dict(zip(parameter_names(tree), jax.tree.leaves(tree), strict=True))


def _layouts(
    arrays: Mapping[str, Mapping[str, Any]], names: Mapping[str, list[str]]
) -> dict[str, str]:
    """The layouts of those of the arrays that are there; a name is of one kind alone."""
    return {
        name: layout_of(arrays[kind][name])
        for kind in _KINDS
        for name in names[kind]
        if name in arrays[kind]
    }


def _origin(
    run: TrainedRun, pretrained: Pretrained, arrays: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Any]:
    """The origin of the layers, for records and checkpoints."""
    return {
        "experiment": run.experiment.name,
        "digest": run.experiment.digest(),
        "seed": run.experiment.seed,
        "step": run.step,
        "averaged": pretrained.averaged,
        "layers": list(dict.fromkeys(map(layer_of, arrays["params"]))),
        "crc32": arrays_checksum([list(arrays[kind].values()) for kind in _KINDS]),
    }
