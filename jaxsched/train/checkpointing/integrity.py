"""Checksums and layouts that tell whether a checkpoint is sound and belongs to this network."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np


def seal(record: Any) -> dict[str, Any]:
    """The record with its checksum; a copy, because it is written when the caller has gone on."""
    text = json.dumps(record)
    return {"record": json.loads(text), "crc32": zlib.crc32(text.encode())}


def layout_of(arrays: Any) -> dict[str, str]:
    """What tells one network's arrays from another's: the path, type and shape of each."""
    leaves, _ = jax.tree.flatten_with_path(arrays)
    return {
        jax.tree_util.keystr(path): f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        for path, leaf in leaves
    }


def require_layout(path: Path, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raises `ValueError` with the first differences."""
    differences = [
        f"{name}: expected {expected.get(name, 'none')}, got {found.get(name, 'none')}"
        for name in {**expected, **found}
        if expected.get(name) != found.get(name)
    ]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise ValueError(
            f"{path} holds the arrays of another network or optimizer: "
            f"{'; '.join(differences[:3])}{more}. Use the experiment that it was saved by, or "
            "another folder."
        )


def crc32_of(arrays: Any) -> int:
    """Of all bytes, in order. Orbax does not notice when a byte of an array has changed on disk."""
    checksum = 0
    for leaf in jax.tree.leaves(arrays):
        # As bytes, because bfloat16 has no buffer protocol.
        values = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
        checksum = zlib.crc32(values.data, checksum)
    return checksum
