"""Reads and writes single checkpoints with Orbax, and turns its errors into ours."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from jaxsched.train.checkpointing.integrity import seal

# One process writes and reads, whatever the number of those that train.
ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})


# How Orbax marks a folder that is not whole: it gets its name when all of it is written.
UNFINISHED = ".orbax-checkpoint-tmp"


def saved_steps(folder: Path) -> list[int]:
    """The steps that a folder holds checkpoints of, in order, be they damaged; it may be missing.

    Example:
        >>> saved_steps(Path("no/such/folder"))
        []
    """
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


class DamagedError(ValueError):
    """A checkpoint that cannot be read, or not as it was written."""

    def __init__(self, path: Path, why: str):
        self.what = f"{path} is damaged ({why})"
        super().__init__(f"{self.what}; use another checkpoint.")


def read_sealed(path: Path) -> dict[str, Any]:
    """Reads the record of a checkpoint and checks it against its checksum."""
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: expected the folder of a checkpoint, got none; give one such as "
            "RUN/before_last_decay."
        )
    sealed = read_item(path, "content", ocp.args.JsonRestore())
    sealed = sealed if isinstance(sealed, dict) else {}
    # By checksums alone: a NaN would make a record differ from itself.
    if sealed.get("crc32") != seal(sealed.get("record"))["crc32"]:
        raise DamagedError(path, "its content differs from what was saved")
    return sealed["record"]


def read_item(path: Path, name: str, restoring: ocp.args.CheckpointArgs) -> Any:
    """Reads one item of a checkpoint: its arrays or its record."""
    try:
        options = ocp.CompositeOptions(multiprocessing_options=ALONE)
        items = ocp.CompositeCheckpointHandler(composite_options=options)
        with ocp.Checkpointer(items, multiprocessing_options=ALONE) as reader:
            return reader.restore(path, args=ocp.args.Composite(**{name: restoring}))[name]
    except Exception as error:  # of Orbax, TensorStore, the JSON reader or the system
        raise DamagedError(path, one_line_cause(error)) from error


def make_writer() -> ocp.AsyncCheckpointer:
    """An Orbax checkpointer that writes in the background, on this process alone."""
    # A folder that cannot be made in the background would leave Orbax's threads waiting for it,
    # and the process unable to end, for five minutes.
    options = ocp.AsyncOptions(create_directories_asynchronously=False)
    items = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=ALONE, async_options=options)
    )
    return ocp.AsyncCheckpointer(items, async_options=options, multiprocessing_options=ALONE)


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Makes one error of whatever keeps Orbax from writing, and takes its remains away."""
    try:
        yield
    except Exception as error:  # TensorStore's errors are ValueErrors
        remove_unfinished(folder)
        raise OSError(
            f"cannot write a checkpoint to {folder}: {one_line_cause(error)}. Those before are "
            "kept; make room and resume the run."
        ) from error


def require_disk_space(folder: Path, arrays: Any) -> None:
    """Finds out beforehand: when a write fails midway, Orbax prints tracebacks of its own."""
    leaves = jax.tree.leaves(arrays)
    needed = sum(leaf.nbytes for leaf in leaves) + 1024 * (len(leaves) + 64)  # with metadata
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"it takes up to {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB are free")


def one_line_cause(error: Exception) -> str:
    """In one line; TensorStore appends its whole configuration in brackets."""
    text = str(error).split(" [")[0].strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint; one that is killed meanwhile leaves no half of it under its name."""
    shutil.rmtree(path.rename(path.with_name(path.name + UNFINISHED)), ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Removes what a killed process left half written."""
    for path in folder.glob(f"*{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Takes a damaged checkpoint, or a folder of them, out of the way; where it is now."""
    aside = path.with_name(f"{path.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    return path.rename(aside)


def is_not_from_orbax(record: logging.LogRecord) -> bool:
    """Keeps Orbax from printing the traceback of a failed save: it becomes an error here."""
    return "orbax" not in record.pathname
