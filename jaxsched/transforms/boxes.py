"""Flax's boxes around arrays, known by their methods, so that Flax need not be installed."""

from typing import Any, TypeVar

import jax

Tree = TypeVar("Tree")


def without_variables(tree: Tree) -> Tree:
    """Puts arrays in the place of NNX's variables, as `nnx.as_pure` does."""
    return jax.tree.map(
        lambda node: node.get_raw_value() if _is_variable(node) else node,
        tree,
        is_leaf=_is_variable,
    )


def with_front_axis(tree: Tree) -> Tree:
    """Tells the boxes in a tree that their arrays have a new first axis, which is not sharded.

    Linen's boxes and NNX's variables name the mesh axis of each axis of their array.
    """

    def told(node: Any) -> Any:
        if _is_variable(node):
            metadata = node.get_metadata()
            # An optimizer's state may be laid out in its own way.
            for name in ("out_sharding", "optimizer_sharding"):
                if metadata.get(name):
                    node.set_metadata(name, (None, *metadata[name]))
            return node
        return node.add_axis(0, {"partition_name": None}) if _is_box(node) else node

    return jax.tree.map(told, tree, is_leaf=_is_box)


def _is_variable(node: object) -> bool:
    return hasattr(node, "get_raw_value")


def _is_box(node: object) -> bool:
    return hasattr(node, "add_axis")
