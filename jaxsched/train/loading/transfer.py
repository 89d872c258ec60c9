"""Takes layers of another run, for a run that starts from them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsched.experiment.pretrained import Pretrained
from jaxsched.models import Variables
from jaxsched.optim.layer_patterns import first_matches, layer_of, matches, parameter_names
from jaxsched.train.checkpointing.integrity import array_layout, arrays_checksum
from jaxsched.train.loading.trained_run import load_run


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
        return {kind: _replaced(tree, self.arrays[kind]) for kind, tree in variables.items()}


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
    patterns = pretrained.layers
    first_matches("Pretrained's layers", parameter_names(like["params"]), patterns)
    run = load_run(pretrained.run, pretrained.checkpoint)
    theirs = run.averaged_variables if pretrained.averaged else run.variables
    arrays = {kind: _taken(tree, theirs[kind], patterns) for kind, tree in like.items()}
    wrong = [text for kind, tree in like.items() for text in _misfits(tree, arrays[kind], patterns)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"the layers {', '.join(map(repr, patterns))} do not fit those of {run.path}: "
            f"{'; '.join(wrong[:3])}{more}. Leave them out of Pretrained's layers, so that they "
            "are drawn anew, or use the same network."
        )
    taken = [array for kind in sorted(arrays) for _, array in sorted(arrays[kind].items())]
    origin = {
        "experiment": run.experiment.name,
        "digest": run.experiment.digest(),
        "seed": run.experiment.seed,
        "step": run.step,
        "averaged": pretrained.averaged,
        "layers": list(dict.fromkeys(map(layer_of, arrays["params"]))),
        "crc32": arrays_checksum(taken),
    }
    return PretrainedLayers(arrays, origin)


def _taken(like: Any, theirs: Any, patterns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The other run's arrays whose names this network has too, and a pattern names."""
    found = dict(zip(parameter_names(theirs), jax.tree.leaves(theirs), strict=True))
    return {name: found[name] for name in _named(like, patterns) if name in found}


def _misfits(
    like: Any, taken: Mapping[str, np.ndarray], patterns: tuple[str, ...]
) -> list[str]:
    """What a pattern names that the other run lacks, or has with another shape or dtype."""
    ours = dict(zip(parameter_names(like), array_layout(like).values(), strict=True))
    wrong = []
    for name in _named(like, patterns):
        got = next(iter(array_layout(taken[name]).values())) if name in taken else "none"
        if got != ours[name]:
            wrong.append(f"{name}: expected {ours[name]}, got {got}")
    return wrong


def _named(like: Any, patterns: tuple[str, ...]) -> list[str]:
    names = parameter_names(like)
    return [name for name in names if any(matches(name, pattern) for pattern in patterns)]


def _replaced(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    names, leaves = parameter_names(tree), jax.tree.leaves(tree)
    new = [arrays.get(name, leaf) for name, leaf in zip(names, leaves, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(tree), new)
