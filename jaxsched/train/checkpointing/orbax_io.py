"""Reads and writes single checkpoints with Orbax, and turns its errors into ours."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxsched.train.checkpointing.integrity import require_checksum

# One process reads and writes, however many train. By default Orbax would wait for the others.
_ONE_PROCESS = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})

# Orbax writes into a folder with this suffix and renames it once everything is on disk.
_UNFINISHED = ocp.path.step.TMP_DIR_SUFFIX


def saved_steps(folder: Path) -> list[int]:
    """Returns the steps that a folder holds checkpoints of, sound or damaged, in ascending order.

    Returns no steps when there is no such folder.

    Example:
        >>> saved_steps(Path("no/such/folder"))
        []
    """
    # Orbax's own `checkpoint_steps` takes a name such as `epoch_5` for a step.
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def is_checkpoint(path: Path) -> bool:
    """Returns whether a folder is a checkpoint, sound or damaged, by its name and what it holds."""
    has_name = path.name.isdecimal() or path.name.isidentifier()
    return has_name and any((path / item).is_dir() for item in ("arrays", "content"))


class DamagedError(ValueError):
    """A checkpoint cannot be read, or differs from what was written.

    Attributes:
        what: the message without its advice.
    """

    def __init__(self, path: Path, why: str):
        self.what = f"{path} is damaged ({why})"
        super().__init__(f"{self.what}; use another checkpoint.")


def read_manifest(path: Path) -> dict[str, Any]:
    """Reads the manifest of a checkpoint and compares it with its checksum.

    Raises:
        FileNotFoundError: when there is no such folder.
        DamagedError: when it cannot be read or is not what was written.
    """
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: expected the folder of a checkpoint, got none; give one such as "
            "RUN/before_last_decay."
        )
    checked = read_item(path, "content", ocp.args.JsonRestore())
    try:
        return require_checksum(checked)
    except ValueError as error:
        raise DamagedError(path, str(error)) from error


def read_item(path: Path, name: str, restoring: ocp.args.CheckpointArgs) -> Any:
    """Reads one item of a checkpoint: its arrays or its manifest.

    Raises:
        DamagedError: when it cannot be read.
    """
    try:
        options = ocp.CompositeOptions(multiprocessing_options=_ONE_PROCESS)
        items = ocp.CompositeCheckpointHandler(composite_options=options)
        with ocp.Checkpointer(items, multiprocessing_options=_ONE_PROCESS) as reader:
            return reader.restore(path, args=ocp.args.Composite(**{name: restoring}))[name]
    except Exception as error:  # Orbax, TensorStore, the JSON reader and the system raise many
        raise DamagedError(path, _one_line_cause(error)) from error


def make_checkpointer() -> ocp.AsyncCheckpointer:
    """Returns an Orbax checkpointer that writes in the background, on this process alone."""
    # If a folder that is made in the background cannot be made, Orbax's threads wait for it for
    # five minutes, and the process cannot end before.
    options = ocp.AsyncOptions(create_directories_asynchronously=False)
    items = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(
            multiprocessing_options=_ONE_PROCESS, async_options=options
        )
    )
    return ocp.AsyncCheckpointer(items, async_options=options, multiprocessing_options=_ONE_PROCESS)


@contextlib.contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Context manager: turns any error of a write into an OSError and removes what it left."""
    try:
        yield
    except Exception as error:  # TensorStore's errors are ValueErrors
        remove_unfinished(folder)
        raise OSError(
            f"cannot write a checkpoint to {folder}: {_one_line_cause(error)}. Those before are "
            "kept; make room and resume the run."
        ) from error


def require_disk_space(folder: Path, arrays: Any) -> None:
    """Raises an OSError when the arrays may not fit on the disk.

    It is better to find this out before the write: when one fails midway, Orbax prints tracebacks.
    """
    leaves = jax.tree.leaves(arrays)
    needed = sum(leaf.nbytes for leaf in leaves) + 1024 * (len(leaves) + 64)  # with metadata
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"it takes up to {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB are free")


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint, of which nothing is left under its name even if the process dies."""
    # Renaming is atomic and deleting is not: the rest is what `remove_unfinished` takes away.
    shutil.rmtree(path.rename(path.with_name(path.name + _UNFINISHED)), ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Removes what a killed process or a failed write left half written."""
    for path in folder.glob(f"*{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Renames a damaged checkpoint, or a folder of them, to `NAME.damaged`; returns its new path.

    One that was set aside before under this name is removed.
    """
    aside = path.with_name(f"{path.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    return path.rename(aside)


def is_not_from_orbax(record: logging.LogRecord) -> bool:
    """Log filter: hides the traceback that Orbax prints when a save fails; we raise an error."""
    return "orbax" not in record.pathname


def _one_line_cause(error: Exception) -> str:
    # TensorStore appends its whole configuration in brackets.
    text = str(error).split(" [")[0].strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"
