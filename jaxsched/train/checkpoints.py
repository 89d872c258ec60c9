"""Checkpoints: what a killed run goes on from, bit for bit."""

import contextlib
import json
import logging
import shutil
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from filelock import FileLock

from jaxsched.train.locks import holder, take

# One process writes and reads, whatever the number of those that train.
_ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
# How Orbax marks a folder that is not whole: it gets its name when all of it is written.
_UNFINISHED = ".orbax-checkpoint-tmp"


class Snapshot(NamedTuple):
    """What a checkpoint holds."""

    step: int
    arrays: Any  # the pytree that was saved
    content: dict[str, Any]  # what was saved beside it, as JSON gives it back


class Checkpoints:
    """The checkpoints of one run, in a folder of its own: the newest, the best and the named ones.

    A checkpoint is written in the background and is there as a whole or not at all, whenever the
    process is killed. Everything in it is checksummed. The arrays may be donated as soon as `save`
    has returned. Each is a folder, `FOLDER/STEP` or `FOLDER/NAME`, for `restore_named`. Of several
    processes that train together only the first has it.

    Args:
        folder: is made; no other process can use it before `close`.
        keep: how many of the newest to keep. That of the best accuracy is kept besides, the first
            of several.

    Attributes:
        folder: as an absolute path.

    Raises:
        BlockingIOError: when another process uses the folder.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> with Checkpoints(folder) as checkpoints:
        ...     checkpoints.save(100, {"w": jnp.ones(3)}, {"seconds": 1.5}, accuracy=0.9)
        >>> with Checkpoints(folder) as checkpoints:
        ...     snapshot = checkpoints.restore(like={"w": jnp.zeros(3)})
        >>> snapshot.step, snapshot.arrays["w"].tolist(), snapshot.content
        (100, [1.0, 1.0, 1.0], {'seconds': 1.5})
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got keep={keep}; use keep=1.")
        self.folder, self._keep = folder.absolute(), keep
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.folder)
        _remove_unfinished(self.folder)
        self._writer = _writer()
        logging.getLogger("absl").addFilter(_is_not_of_orbax)

    def save(
        self, step: int, arrays: Any, content: Mapping[str, Any], *, accuracy: float | None = None
    ) -> None:
        """Saves a step; returns when the arrays are copied, before they are on disk.

        What is saved already stays: a run that goes on from a step may save it again.

        Args:
            step: updates made.
            arrays: a pytree of arrays.
            content: JSON.
            accuracy: by which the best is told; None is never the best.

        Raises:
            ValueError: when the folder has later steps, which this run did not make.
            OSError: when this save or the one before cannot be written.
        """
        later = [there for there in saved_steps(self.folder) if there > step]
        if later:
            raise ValueError(
                f"{self.folder}: expected no checkpoint after update {step}, which is to be "
                f"saved, got one of update {later[-1]}; restore it first or use another folder."
            )
        self._write(str(step), step, arrays, content, accuracy)

    def save_named(self, name: str, step: int, arrays: Any, content: Mapping[str, Any]) -> None:
        """Saves a step under a name, for ever; what has the name already stays.

        Args:
            name: of its folder, an identifier.
            step: updates made.
            arrays: a pytree of arrays.
            content: JSON.

        Raises:
            OSError: when this save or the one before cannot be written.
        """
        if not name.isidentifier():
            raise ValueError(
                f"name must be an identifier such as 'before_last_decay', got {name!r}; numbers "
                "are those of steps."
            )
        self._write(name, step, arrays, content, None)

    def restore(self, like: Any) -> Snapshot | None:
        """Reads the newest sound step; None where nothing is saved.

        Damaged ones that are newer are named in a warning and set aside.

        Args:
            like: arrays or abstract arrays of the same structure; the restored ones are NumPy's.

        Raises:
            AllDamagedError: when there are steps, and all are damaged.
            ValueError: when it is another network's.
        """
        self.wait()
        damaged: list[tuple[Path, _DamagedError]] = []
        for step in reversed(saved_steps(self.folder)):
            path = self.folder / str(step)
            try:
                snapshot = restore_named(path, like)
            except _DamagedError as error:
                damaged.append((path, error))
                continue
            for newer, error in damaged:
                # Out of the way: its step is saved again, and sound ones are kept in its stead.
                aside = set_aside(newer)
                warnings.warn(
                    f"{error.what}; going on from update {step}, the damaged one is now {aside}",
                    stacklevel=2,
                )
            return snapshot
        if damaged:
            raise AllDamagedError(self.folder, [error.what for _, error in damaged])
        return None

    def wait(self) -> None:
        """Returns when everything saved is on disk.

        Raises:
            OSError: when it cannot be written; what was saved before is kept.
        """
        with _written_to(self.folder):
            self._writer.wait_until_finished()
        self._prune()

    def close(self) -> None:
        """Waits, then lets others use the folder."""
        try:
            self.wait()
        finally:
            self._writer.close()
            self._lock.release()
            logging.getLogger("absl").removeFilter(_is_not_of_orbax)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(
        self,
        name: str,
        step: int,
        arrays: Any,
        content: Mapping[str, Any],
        accuracy: float | None,
    ) -> None:
        self.wait()
        path = self.folder / name
        if path.exists():
            return
        arrays = jax.device_get(arrays)
        record = _sealed(
            {
                "step": step,
                "accuracy": None if accuracy is None else float(accuracy),
                "layout": _layout(arrays),
                "crc32": _crc32(arrays),
                "content": dict(content),
            }
        )
        # Orbax copies NumPy arrays before it returns, so these may be views of what is donated.
        items = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays), content=ocp.args.JsonSave(record)
        )
        with _written_to(self.folder):
            _require_room(self.folder, arrays)
            self._writer.save(path, args=items)

    def _prune(self) -> None:
        """Removes what is neither among the newest nor the best."""
        steps = saved_steps(self.folder)
        if len(steps) <= self._keep:
            return
        accuracies = {step: _accuracy(self.folder / str(step)) for step in steps}
        known = {step: value for step, value in accuracies.items() if value is not None}
        best = max(known, key=lambda step: known[step], default=None)
        for step in steps[: -self._keep]:
            if step != best:
                _remove(self.folder / str(step))


def saved_steps(folder: Path) -> list[int]:
    """The steps that a folder holds checkpoints of, in order, be they damaged; it may be missing.

    Example:
        >>> saved_steps(Path("no/such/folder"))
        []
    """
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def restore_named(path: Path, like: Any) -> Snapshot:
    """Reads a checkpoint by its folder, whatever run it is of: to train longer from it.

    Args:
        path: such as `RUN/before_last_decay`.
        like: arrays or abstract arrays of the same structure; the restored ones are NumPy's.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is damaged, or another network's, with the arrays that differ.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> folder = Path(tempfile.mkdtemp())
        >>> with Checkpoints(folder) as checkpoints:
        ...     checkpoints.save_named("halfway", 50, {"w": jnp.ones(3)}, {})
        >>> restore_named(folder / "halfway", like={"w": jnp.zeros(3)}).step
        50
    """
    path = path.absolute()
    record = _read_record(path)
    _check_alike(path, record["layout"], _layout(like))
    numpys = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
    arrays = _read_item(path, "arrays", ocp.args.StandardRestore(numpys))
    if _crc32(arrays) != record["crc32"]:
        raise _DamagedError(path, "the arrays differ from those that were saved")
    return Snapshot(record["step"], arrays, record["content"])


def read_content(path: Path) -> tuple[int, dict[str, Any]]:
    """The step of a checkpoint and what was saved beside its arrays, without reading these.

    Args:
        path: such as `RUN/before_last_decay`.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is damaged.
    """
    record = _read_record(path.absolute())
    return record["step"], record["content"]


class AllDamagedError(ValueError):
    """None of a run's checkpoints can be read."""

    def __init__(self, folder: Path, whats: Sequence[str]):
        self.what = (
            f"{folder}: expected a sound checkpoint, got only damaged ones: {'; '.join(whats)}"
        )
        super().__init__(f"{self.what}. Move the folder away to start anew.")


class _DamagedError(ValueError):
    """A checkpoint that cannot be read, or not as it was written."""

    def __init__(self, path: Path, why: str):
        self.what = f"{path} is damaged ({why})"
        super().__init__(f"{self.what}; use another checkpoint.")


def _read_record(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: expected the folder of a checkpoint, got none; give one such as "
            "RUN/before_last_decay."
        )
    sealed = _read_item(path, "content", ocp.args.JsonRestore())
    sealed = sealed if isinstance(sealed, dict) else {}
    # By checksums alone: a NaN would make a record differ from itself.
    if sealed.get("crc32") != _sealed(sealed.get("record"))["crc32"]:
        raise _DamagedError(path, "its content differs from what was saved")
    return sealed["record"]


def _read_item(path: Path, name: str, restoring: ocp.args.CheckpointArgs) -> Any:
    try:
        options = ocp.CompositeOptions(multiprocessing_options=_ALONE)
        items = ocp.CompositeCheckpointHandler(composite_options=options)
        with ocp.Checkpointer(items, multiprocessing_options=_ALONE) as reader:
            return reader.restore(path, args=ocp.args.Composite(**{name: restoring}))[name]
    except Exception as error:  # of Orbax, TensorStore, the JSON reader or the system
        raise _DamagedError(path, _cause(error)) from error


def _sealed(record: Any) -> dict[str, Any]:
    """The record with its checksum; a copy, because it is written when the caller has gone on."""
    text = json.dumps(record)
    return {"record": json.loads(text), "crc32": zlib.crc32(text.encode())}


def _layout(arrays: Any) -> dict[str, str]:
    """What tells one network's arrays from another's: the path, type and shape of each."""
    leaves, _ = jax.tree.flatten_with_path(arrays)
    return {
        jax.tree_util.keystr(path): f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        for path, leaf in leaves
    }


def _check_alike(path: Path, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
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


def _crc32(arrays: Any) -> int:
    """Of all bytes, in order. Orbax does not notice when a byte of an array has changed on disk."""
    checksum = 0
    for leaf in jax.tree.leaves(arrays):
        # As bytes, because bfloat16 has no buffer protocol.
        values = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
        checksum = zlib.crc32(values.data, checksum)
    return checksum


def _accuracy(path: Path) -> float | None:
    """By which the best is told; None where it is not known."""
    try:
        return _read_record(path)["accuracy"]
    except _DamagedError:
        return None


def _lock(folder: Path) -> FileLock:
    """Holds the folder for this process."""
    lock = take(folder / "lock")
    if lock is None:
        raise BlockingIOError(
            f"{folder}: expected a folder that no one uses, but process "
            f"{holder(folder / 'lock')} saves its checkpoints there; wait for it, stop it or use "
            "another folder."
        )
    return lock


def _writer() -> ocp.AsyncCheckpointer:
    # A folder that cannot be made in the background would leave Orbax's threads waiting for it,
    # and the process unable to end, for five minutes.
    options = ocp.AsyncOptions(create_directories_asynchronously=False)
    items = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(
            multiprocessing_options=_ALONE, async_options=options
        )
    )
    return ocp.AsyncCheckpointer(items, async_options=options, multiprocessing_options=_ALONE)


@contextlib.contextmanager
def _written_to(folder: Path) -> Iterator[None]:
    """Makes one error of whatever keeps Orbax from writing, and takes its remains away."""
    try:
        yield
    except Exception as error:  # TensorStore's errors are ValueErrors
        _remove_unfinished(folder)
        raise OSError(
            f"cannot write a checkpoint to {folder}: {_cause(error)}. Those before are kept; make "
            "room and resume the run."
        ) from error


def _require_room(folder: Path, arrays: Any) -> None:
    """Finds out beforehand: when a write fails midway, Orbax prints tracebacks of its own."""
    leaves = jax.tree.leaves(arrays)
    needed = sum(leaf.nbytes for leaf in leaves) + 1024 * (len(leaves) + 64)  # with metadata
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"it takes up to {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB are free")


def _cause(error: Exception) -> str:
    """In one line; TensorStore appends its whole configuration in brackets."""
    text = str(error).split(" [")[0].strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"


def _remove(path: Path) -> None:
    """Removes a checkpoint; one that is killed meanwhile leaves no half of it under its name."""
    shutil.rmtree(path.rename(path.with_name(path.name + _UNFINISHED)), ignore_errors=True)


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob(f"*{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Takes a damaged checkpoint, or a folder of them, out of the way; where it is now."""
    aside = path.with_name(f"{path.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    return path.rename(aside)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Keeps Orbax from printing the traceback of a failed save: it becomes an error here."""
    return "orbax" not in record.pathname
