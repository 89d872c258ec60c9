"""Checkpoints: what a killed run goes on from, bit for bit."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from filelock import FileLock

from jaxsched.train.checkpointing.file_lock import holder, take
from jaxsched.train.checkpointing.integrity import crc32_of, layout_of, require_layout, seal
from jaxsched.train.checkpointing.orbax_io import (
    DamagedError,
    is_not_from_orbax,
    make_writer,
    read_item,
    read_sealed,
    remove_checkpoint,
    remove_unfinished,
    require_disk_space,
    saved_steps,
    set_aside,
    writing_to,
)


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
        remove_unfinished(self.folder)
        self._writer = make_writer()
        logging.getLogger("absl").addFilter(is_not_from_orbax)

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
        damaged: list[tuple[Path, DamagedError]] = []
        for step in reversed(saved_steps(self.folder)):
            path = self.folder / str(step)
            try:
                snapshot = restore_named(path, like)
            except DamagedError as error:
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
        with writing_to(self.folder):
            self._writer.wait_until_finished()
        self._prune()

    def close(self) -> None:
        """Waits, then lets others use the folder."""
        try:
            self.wait()
        finally:
            self._writer.close()
            self._lock.release()
            logging.getLogger("absl").removeFilter(is_not_from_orbax)

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
        record = seal(
            {
                "step": step,
                "accuracy": None if accuracy is None else float(accuracy),
                "layout": layout_of(arrays),
                "crc32": crc32_of(arrays),
                "content": dict(content),
            }
        )
        # Orbax copies NumPy arrays before it returns, so these may be views of what is donated.
        items = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays), content=ocp.args.JsonSave(record)
        )
        with writing_to(self.folder):
            require_disk_space(self.folder, arrays)
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
                remove_checkpoint(self.folder / str(step))


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
    record = read_sealed(path)
    require_layout(path, record["layout"], layout_of(like))
    numpys = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
    arrays = read_item(path, "arrays", ocp.args.StandardRestore(numpys))
    if crc32_of(arrays) != record["crc32"]:
        raise DamagedError(path, "the arrays differ from those that were saved")
    return Snapshot(record["step"], arrays, record["content"])


def read_content(path: Path) -> tuple[int, dict[str, Any]]:
    """The step of a checkpoint and what was saved beside its arrays, without reading these.

    Args:
        path: such as `RUN/before_last_decay`.

    Raises:
        FileNotFoundError: when there is no such folder.
        ValueError: when it is damaged.
    """
    record = read_sealed(path.absolute())
    return record["step"], record["content"]


class AllDamagedError(ValueError):
    """None of a run's checkpoints can be read."""

    def __init__(self, folder: Path, whats: Sequence[str]):
        self.what = (
            f"{folder}: expected a sound checkpoint, got only damaged ones: {'; '.join(whats)}"
        )
        super().__init__(f"{self.what}. Move the folder away to start anew.")


def _accuracy(path: Path) -> float | None:
    """By which the best is told; None where it is not known."""
    try:
        return read_sealed(path)["accuracy"]
    except DamagedError:
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
