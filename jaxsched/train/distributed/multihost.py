"""What several processes have to agree on so that they make one run."""

import pickle
import zlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from jaxsched.train.distributed.driver import Driver
from jaxsched.train.distributed.processes import is_main

Result = TypeVar("Result")


class HostVotes(NamedTuple):
    """What is to happen next as one process sees it; the largest of each is what all do.

    Attributes:
        fewer_updates: minus the number of updates that the next dispatch should make.
        save: 1 when the run should be saved.
        signal: the signal that told the process to stop; 0 without one.
    """

    fewer_updates: int
    save: int
    signal: int


def vote(driver: Driver, votes: HostVotes) -> Callable[[], HostVotes]:
    """Tells all processes' wishes to all, behind what the devices are at; the answer can wait."""
    largest = driver.largest(np.array(votes, np.int32))
    return lambda: HostVotes(*np.asarray(largest).tolist())


def broadcast_from_main(driver: Driver, compute: Callable[[], Result]) -> Result:
    """What the main process computes, on every process; so is its error, if there is one.

    Args:
        driver: of the run.
        compute: called on the main process alone; its result can be pickled.

    Raises:
        ValueError: on the other processes, with the text of the error.
        OSError: on the main process, as `compute` raised it; so is a ValueError.
    """
    if driver.num_processes == 1:
        return compute()
    result = error = None
    if is_main():
        try:
            result = compute()
        except (ValueError, OSError) as problem:
            error = problem
    text = None if error is None else str(error)
    result, text = pickle.loads(_broadcast_from_main(driver, pickle.dumps((result, text))))
    if error is not None:
        raise error
    if text is not None:
        raise ValueError(text)
    return result


def _broadcast_from_main(driver: Driver, content: bytes) -> bytes:
    """The main process's bytes: the largest of each, because the others give zeros."""
    mine = np.frombuffer(content if is_main() else b"", np.uint8)
    size = int(np.asarray(driver.largest(np.array(mine.size, np.int32))))
    padded = np.zeros(size, np.uint8)
    padded[: mine.size] = mine
    return np.asarray(driver.largest(padded)).tobytes()


def require_same(driver: Driver, what: str, content: str) -> None:
    """Refuses processes that are about to run different things.

    Args:
        driver: of the run.
        what: as the error should call it.
        content: that has to be the same everywhere.

    Raises:
        ValueError: on every process, when it is not.
    """
    checksum = zlib.crc32(content.encode()) >> 1
    most = np.asarray(driver.largest(np.array([checksum, -checksum], np.int32)))
    if most[0] != -most[1]:
        raise ValueError(
            f"every process has to have the same {what}, got different ones; start all of them "
            "with the same files and arguments."
        )
