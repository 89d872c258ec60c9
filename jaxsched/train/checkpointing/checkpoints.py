"""The checkpoints of one run, from which it resumes bit for bit after it was killed."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from filelock import FileLock

from jaxsched.file_lock import holder, remove, take
from jaxsched.train.checkpointing.integrity import (
    array_layout,
    arrays_checksum,
    require_layout,
    with_checksum,
)
from jaxsched.train.checkpointing.orbax_io import (
    DamagedError,
    explain_write_errors,
    is_not_from_orbax,
    make_checkpointer,
    read_item,
    read_manifest,
    remove_checkpoint,
    remove_unfinished,
    require_disk_space,
    saved_steps,
    set_aside,
)


class Snapshot(NamedTuple):
    """A checkpoint that was read."""

    step: int
    arrays: Any  # the pytree that was saved
    content: dict[str, Any]  # the JSON that was saved beside it, as a JSON reader returns it


# Why this is not Orbax's `CheckpointManager`, whose retention and cleanup do less:
# - Its `BestN` keeps the last of several equal accuracies. It reads them from a file `metrics`
#   without a checksum: a torn one is an error when the folder is opened, and a checkpoint with
#   damaged arrays stays the best for ever. A checkpoint without this file is never the best.
# - It deletes a checkpoint in place: a process that is killed meanwhile leaves half of one under
#   the name of its step.
# - It removes unfinished writes when a folder is opened, but not after a write that failed.
# - It names checkpoints by their steps alone: `100` and `before_last_decay`, both of step 100,
#   cannot be in one folder.
class Checkpoints:
    """The checkpoints of one run in a folder of its own: the newest, the best and the named ones.

    A checkpoint is written in the background. Whenever the process is killed, it is there as a
    whole or not at all. All its bytes have checksums. The arrays may be donated as soon as `save`
    has returned. Each checkpoint is a folder, `FOLDER/STEP` or `FOLDER/NAME`, which `restore_named`
    reads. When several processes train one run, only the main process has its checkpoints.

    Args:
        folder: the folder, which is made. No other process can use it before `close`.
        keep: how many of the newest checkpoints to keep. The one with the best score is kept
            besides, and of several that are equal the first.

    Attributes:
        folder: the absolute path.

    Raises:
        BlockingIOError: when another process uses the folder.
        OSError: when the folder cannot be made or locked.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> with Checkpoints(folder) as checkpoints:
        ...     checkpoints.save(100, {"w": jnp.ones(3)}, {"seconds": 1.5}, score=0.9)
        >>> with Checkpoints(folder) as checkpoints:
        ...     snapshot = checkpoints.restore(like={"w": jnp.zeros(3)})
        >>> snapshot.step, snapshot.arrays["w"].tolist(), snapshot.content
        (100, [1.0, 1.0, 1.0], {'seconds': 1.5})
    """

    def __init__(self, folder: Path, *, keep: int = 2):
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got keep={keep}; use keep=1.")
        self.folder, self._keep = folder.absolute(), keep
        self._lock = _lock(self.folder)
        remove_unfinished(self.folder)
        self._checkpointer = make_checkpointer()
        logging.getLogger("absl").addFilter(is_not_from_orbax)

    def save(
        self,
        step: int,
        arrays: Any,
        content: Mapping[str, Any],
        *,
        score: float | None = None,
        beside: Any = None,
    ) -> None:
        """Saves a step; returns when the arrays are copied, before they are on disk.

        A step that is saved already is left as it is, because a resumed run may save the step that
        it resumed from again.

        Args:
            step: the number of updates made.
            arrays: a pytree of arrays.
            content: JSON to save beside the arrays.
            score: the number by which the best checkpoint is found, the highest; None is never
                the best.
            beside: more arrays, which a resumed run does not need; see `restore_beside`.

        Raises:
            ValueError: when the folder has later steps, which this run did not make.
            OSError: when this save or the one before it cannot be written.
        """
        later = [there for there in saved_steps(self.folder) if there > step]
        if later:
            raise ValueError(
                f"{self.folder}: expected no checkpoint after update {step}, which is to be "
                f"saved, got one of update {later[-1]}; restore it first or use another folder."
            )
        self._write(str(step), step, arrays, content, score, beside)

    def save_named(
        self,
        name: str,
        step: int,
        arrays: Any,
        content: Mapping[str, Any],
        *,
        beside: Any = None,
    ) -> None:
        """Saves a step under a name; it is never removed, nor overwritten by another of this name.

        Args:
            name: the name of its folder, an identifier.
            step: the number of updates made.
            arrays: a pytree of arrays.
            content: JSON to save beside the arrays.
            beside: see `save`.

        Raises:
            ValueError: when the name is no identifier.
            OSError: when this save or the one before it cannot be written.
        """
        if not name.isidentifier():
            raise ValueError(
                f"name must be an identifier such as 'before_last_decay', got {name!r}; a number "
                "is the name of a step's checkpoint."
            )
        self._write(name, step, arrays, content, None, beside)

    def restore(self, like: Any) -> Snapshot | None:
        """Reads the newest sound checkpoint; returns None when none was saved.

        Damaged checkpoints that are newer are named in a warning and renamed, see `set_aside`.

        Args:
            like: arrays or abstract arrays of the same structure. The restored arrays are NumPy's.

        Raises:
            AllDamagedError: when all checkpoints are damaged.
            ValueError: when the arrays are those of another network.
        """
        self.wait()
        damaged: list[tuple[Path, DamagedError]] = []
        for step in reversed(saved_steps(self.folder)):
            path = self.folder / str(step)
            try:
                snapshot = restore_named(path, like)
            except DamagedError as error:
                damaged.append((path, error))
                continue
            for newer, error in damaged:
                # Under its own name it would keep its step from being saved again, and count as
                # one of the newest in the place of a sound one.
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
        """Waits until everything that was saved is on disk.

        Raises:
            OSError: when it cannot be written; the checkpoints before are kept.
        """
        with explain_write_errors(self.folder):
            self._checkpointer.wait_until_finished()
        self._prune()

    def close(self) -> None:
        """Waits as `wait` does, then lets other processes use the folder."""
        try:
            self.wait()
        finally:
            self._checkpointer.close()
            remove(_lock_path(self.folder), self._lock)
            logging.getLogger("absl").removeFilter(is_not_from_orbax)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.close()
        except OSError as second:
            if error is None:
                raise
            error.add_note(str(second))  # which must not hide what ended the block

    def _write(
        self,
        name: str,
        step: int,
        arrays: Any,
        content: Mapping[str, Any],
        score: float | None,
        beside: Any,
    ) -> None:
        self.wait()  # for the save before, of which an error has to be raised here at the latest
        path = self.folder / name
        if path.exists():
            return
        arrays, beside = jax.device_get((arrays, beside))
        has_more = bool(jax.tree.leaves(beside))  # Orbax refuses to save nothing
        manifest = {
            "step": step,
            "score": None if score is None else float(score),
            **_identity(arrays),
            "beside": _identity(beside) if has_more else None,
            "content": dict(content),
        }
        # On a CPU `device_get` returns views of buffers that the caller is about to donate. That is
        # safe, because Orbax copies NumPy arrays before `save` returns.
        items = {
            "arrays": ocp.args.StandardSave(arrays),
            "content": ocp.args.JsonSave(with_checksum(manifest)),
            **({"beside": ocp.args.StandardSave(beside)} if has_more else {}),
        }
        with explain_write_errors(self.folder):
            require_disk_space(self.folder, (arrays, beside))
            self._checkpointer.save(path, args=ocp.args.Composite(**items))

    def _prune(self) -> None:
        """Removes every checkpoint of a step but the newest and the best."""
        steps = saved_steps(self.folder)
        if len(steps) <= self._keep:
            return
        best = best_step(self.folder)
        for step in steps[: -self._keep]:
            if step != best:
                remove_checkpoint(self.folder / str(step))


def restore_named(path: Path, like: Any) -> Snapshot:
    """Reads one checkpoint, of this run or of another one, for instance to train longer from it.

    Args:
        path: the checkpoint's folder, such as `RUN/before_last_decay`.
        like: arrays or abstract arrays of the same structure. The restored arrays are NumPy's.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is damaged, or when its arrays are those of another network; the message
            names the arrays that differ.

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
    manifest = read_manifest(path)
    arrays = _restore_arrays(path, "arrays", manifest, like)
    return Snapshot(manifest["step"], arrays, manifest["content"])


def restore_beside(path: Path, like: Any) -> Any:
    """Reads the arrays that a checkpoint was saved with as `beside`; None if there are none.

    Args:
        path: the checkpoint's folder.
        like: see `restore_named`.

    Raises:
        FileNotFoundError: see `restore_named`, as for ValueError.
    """
    path = path.absolute()
    saved = read_manifest(path).get("beside")  # older versions saved none
    return None if saved is None else _restore_arrays(path, "beside", saved, like)


def _restore_arrays(path: Path, item: str, saved: Mapping[str, Any], like: Any) -> Any:
    """Reads one item's arrays and compares them with their identity, see `_identity`."""
    # Before the arrays are read: for Orbax another network's arrays are an error like any other.
    require_layout(path, saved["layout"], array_layout(like))
    # NumPy arrays as targets make Orbax restore to the host, whatever devices the run was on.
    targets = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
    arrays = read_item(path, item, ocp.args.StandardRestore(targets))
    if arrays_checksum(arrays) != saved["crc32"]:
        raise DamagedError(path, "the arrays differ from those that were saved")
    return arrays


def _identity(arrays: Any) -> dict[str, Any]:
    """Returns what tells in a manifest whether arrays fit and are sound."""
    return {"layout": array_layout(arrays), "crc32": arrays_checksum(arrays)}


def read_content(path: Path) -> tuple[int, dict[str, Any]]:
    """Returns the step of a checkpoint and the JSON beside its arrays, without reading the arrays.

    Args:
        path: the checkpoint's folder, such as `RUN/before_last_decay`.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is damaged.
    """
    manifest = read_manifest(path.absolute())
    return manifest["step"], manifest["content"]


def best_step(folder: Path) -> int | None:
    """Returns the step of the checkpoint with the best score; None when none is known."""
    scores = {step: _score(folder / str(step)) for step in saved_steps(folder)}
    known = {step: value for step, value in scores.items() if value is not None}
    return max(known, key=lambda step: known[step], default=None)  # the first of equals


class AllDamagedError(ValueError):
    """All checkpoints of a run are damaged.

    Attributes:
        what: the message without its advice.
    """

    def __init__(self, folder: Path, damages: Sequence[str]):
        self.what = (
            f"{folder}: expected a sound checkpoint, got only damaged ones: {'; '.join(damages)}"
        )
        super().__init__(f"{self.what}. Move the folder away to start from the first update.")


def _score(path: Path) -> float | None:
    """Returns the score that a checkpoint was saved with; None when it is not known."""
    try:
        manifest = read_manifest(path)
        return manifest["score"] if "score" in manifest else manifest["accuracy"]  # of old versions
    except DamagedError:
        return None  # a damaged checkpoint is never the best


def _lock(folder: Path) -> FileLock:
    """Locks the folder, which is made, for this process."""
    path = _lock_path(folder)
    lock = take(path)
    if lock is None:
        raise BlockingIOError(
            f"{folder}: expected a folder that no other process uses, but {holder(path)} saves its "
            "checkpoints there; wait for it, stop it or use another folder."
        )
    return lock


def _lock_path(folder: Path) -> Path:
    return folder / "lock"
