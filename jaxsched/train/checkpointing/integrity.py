"""Checksums and layouts: they show whether a checkpoint is sound and fits this network."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np


def with_checksum(manifest: Any) -> dict[str, Any]:
    """Returns a copy of a checkpoint's manifest (JSON) together with its CRC-32.

    It is a copy because Orbax writes it later, when the caller may have changed the original.
    """
    text = json.dumps(manifest)
    # The key "record" is what checkpoints on disk have.
    return {"record": json.loads(text), "crc32": zlib.crc32(text.encode())}


def require_checksum(checked: Any) -> Any:
    """Returns the manifest that `with_checksum` was given.

    Raises:
        ValueError: when it is not what was written.
    """
    checked = checked if isinstance(checked, dict) else {}
    manifest = checked.get("record")
    # Checksums are compared, not manifests: a NaN in one would make it differ from itself.
    if checked.get("crc32") != with_checksum(manifest)["crc32"]:
        raise ValueError("its content differs from what was saved")
    return manifest


def array_layout(arrays: Any) -> dict[str, str]:
    """Returns the path, dtype and shape of each array: they differ from network to network."""
    leaves, _ = jax.tree.flatten_with_path(arrays)
    return {jax.tree_util.keystr(path): layout_of(leaf) for path, leaf in leaves}


def layout_of(array: Any) -> str:
    """Returns the dtype and the shape of an array, or of what has both, as text."""
    return f"{np.dtype(array.dtype).name}{list(array.shape)}"


def layout_differences(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Names the first arrays whose layouts differ; "" if none does."""
    differences = [
        f"{name}: expected {expected.get(name, 'none')}, got {found.get(name, 'none')}"
        for name in {**expected, **found}
        if expected.get(name) != found.get(name)
    ]
    more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
    return f"{'; '.join(differences[:3])}{more}"


def require_layout(path: Path, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raises a `ValueError` that names the first differences, if there are any."""
    if differences := layout_differences(found, expected):
        raise ValueError(
            f"{path} holds the arrays of another network or optimizer: {differences}. Use the "
            "experiment that it was saved by, or another folder."
        )


def arrays_checksum(arrays: Any) -> int:
    """Returns the CRC-32 of all bytes of the arrays, in order.

    Orbax restores an array without an error when one of its bytes has changed on disk.
    """
    checksum = 0
    for leaf in jax.tree.leaves(arrays):
        # As bytes, because bfloat16 has no buffer protocol.
        values = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
        checksum = zlib.crc32(values.data, checksum)
    return checksum
