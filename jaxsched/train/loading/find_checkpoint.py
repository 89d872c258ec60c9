"""Finds a checkpoint of a run by the run's record or folder and the checkpoint's name."""

from pathlib import Path

from jaxsched.train.checkpointing.checkpoints import best_step
from jaxsched.train.checkpointing.orbax_io import is_checkpoint, saved_steps

NEWEST, BEST = "newest", "best"


def find_checkpoint(run: Path, checkpoint: str = NEWEST) -> Path:
    """Returns the folder of a checkpoint.

    Args:
        run: the path of a run's record, of its folder of checkpoints, or of one checkpoint.
        checkpoint: "newest", "best", the number of updates, or a name such as "before_last_decay".

    Raises:
        FileNotFoundError: when there is no such run or checkpoint; the message lists those that the
            run has.
    """
    folder = run.with_suffix("") if run.suffix == ".jsonl" else run
    if is_checkpoint(folder):
        if checkpoint != NEWEST:
            raise FileNotFoundError(
                f"{folder}: expected the run of the checkpoint {checkpoint!r}, got a checkpoint; "
                f"give {folder.parent}."
            )
        return folder
    names = sorted(path.name for path in folder.glob("*") if is_checkpoint(path))
    if not names:
        raise FileNotFoundError(_without_checkpoints(run, folder))
    steps = saved_steps(folder)
    if checkpoint == NEWEST and steps:
        return folder / str(steps[-1])
    if checkpoint == BEST:
        # Between evaluations nothing is known of a checkpoint, so there may be no best one.
        best = best_step(folder)
        checkpoint = BEST if best is None else str(best)
    if checkpoint not in names:
        raise FileNotFoundError(
            f"{folder}: expected the checkpoint {checkpoint!r}, got {', '.join(names)}; name one "
            "of these."
        )
    return folder / checkpoint


def _without_checkpoints(run: Path, folder: Path) -> str:
    """Why a run has no checkpoint, and what to do."""
    if run.is_file():
        return (
            f"{run}: expected the checkpoints of the run in {folder}, got none; `jaxsched train` "
            "keeps those of its runs, and a study removes those of runs that have ended."
        )
    return (
        f"{run}: expected the path of a run's record (NAME.jsonl) or its folder of checkpoints, "
        "got neither; look in the --workdir of `jaxsched train`."
    )
