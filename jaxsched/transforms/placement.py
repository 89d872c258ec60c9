"""Whether an average stands last in its chain, as the chain's state shows."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import optax

State = TypeVar("State", bound=type)

# States of transformations that return the updates as they got them.
_PASSING: set[type] = {optax.SnapshotState, optax.MonitorState}
# States of wrappers that change nothing but what their inner transformation changes.
_WRAPPERS = (
    optax.MaskedState,
    optax.ConditionallyTransformState,
    optax.InjectHyperparamsState,
    optax.InjectStatefulHyperparamsState,
)


def passes_updates(state: State) -> State:
    """Marks the class of a state whose transformation returns the updates as it got them."""
    _PASSING.add(state)
    return state


def require_last(opt_state: optax.OptState, kind: type, name: str) -> None:
    """Raises `ValueError` if an average of this kind is followed by what changes the updates.

    It has then averaged `params + updates` with other updates than those that were applied.
    """
    if not is_last(opt_state, kind):
        raise ValueError(
            f"{name} needs an average that is the last of its chain, got one that is followed by "
            "transformations which change the updates, so that its mean is not one of weights; "
            "move it behind them and start its mean anew. What is in it is read by giving the part "
            "of the state that holds the average alone."
        )


def is_last(opt_state: optax.OptState, kind: type) -> bool:
    """Returns whether nothing that changes the updates follows any state of this kind."""
    return not any(changed for _, changed in _places(opt_state, kind))


def _places(state: Any, kind: type) -> Iterator[tuple[bool, bool]]:
    """Yields for each state of this kind whether a mask is around it, and whether it is too early.

    A chain's state is a tuple, or an ordered dict, of its links' states in their order.
    """
    if isinstance(state, kind):
        yield False, False
        return
    parts = _parts(state)
    for i, part in enumerate(parts):
        after = parts[i + 1 :] if _is_chain(state) else []
        for is_masked, changed in _places(part, kind):
            changed = changed or any(_may_change(other, is_masked) for other in after)
            yield is_masked or _leaves_out(state), changed


def _may_change(state: Any, is_masked: bool) -> bool:
    """Returns whether the transformation with this state changes updates that an average saw.

    If both the average and the transformation are masked, they may be for different parameters.
    """
    if type(state) in _PASSING or (is_masked and isinstance(state, optax.MaskedState)):
        return False
    if isinstance(state, _WRAPPERS):
        return _may_change(state.inner_state, is_masked)
    if isinstance(state, optax.PartitionState):
        return any(_may_change(group, is_masked) for group in state.inner_states.values())
    if _is_chain(state):
        return any(_may_change(part, is_masked) for part in _parts(state))
    # A bare array or a dict may be anything that a caller keeps beside the optimizer's state.
    return isinstance(state, tuple)


def _leaves_out(state: Any) -> bool:
    """Returns whether this is the state of a mask that leaves out parameters."""
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, optax.MaskedNode))
    has_gaps = any(isinstance(node, optax.MaskedNode) for node in nodes)
    return isinstance(state, optax.MaskedState) and has_gaps


def _is_chain(state: Any) -> bool:
    """Returns whether this is a chain's state; a transformation's own is a class of tuples."""
    return type(state) is tuple or isinstance(state, OrderedDict)


def _parts(node: Any) -> list[Any]:
    """Returns what a node of a tree holds, in its order; nothing for a leaf."""
    parts = jax.tree.leaves(node, is_leaf=lambda part: part is not node)
    return [part for part in parts if part is not node]
