"""Agreements between processes that together make one run."""

import itertools
import json
import pickle
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxsched.experiment.diff import differences
from jaxsched.train.distributed import store
from jaxsched.train.distributed.driver import Driver
from jaxsched.train.distributed.processes import is_main

Result = TypeVar("Result")
_LOOK_SECONDS = 0.1
_comparisons = itertools.count()


class HostVotes(NamedTuple):
    """The votes of one process on what happens next; all processes follow the largest of each vote.

    Attributes:
        fewer_updates: minus the number of updates that the next dispatch should make.
        save: 1 when the run should be saved.
        signal: the signal that told the process to stop; 0 without one.
    """

    fewer_updates: int
    save: int
    signal: int


def vote(driver: Driver, votes: HostVotes) -> Callable[[], HostVotes]:
    """Sends this process's votes to all; the returned function waits for the outcome.

    The exchange is queued on the devices behind the work that they have, so the host can dispatch
    more before it waits.
    """
    largest = driver.largest(np.array(votes, np.int32))
    return lambda: HostVotes(*np.asarray(largest).tolist())


def broadcast_from_main(driver: Driver, compute: Callable[[], Result]) -> Result:
    """Returns on every process what the main process computes; its error is raised on all too.

    Args:
        driver: the devices of all processes.
        compute: called on the main process alone; its result can be pickled.

    Raises:
        ValueError: on the other processes, with the text of the error.
        OSError: on the main process, as `compute` raised it; so is a ValueError.
    """
    if driver.num_processes == 1:
        return compute()
    result = error = None
    if is_main():
        # The error must reach the others, which would otherwise wait for a result forever.
        try:
            result = compute()
        except (ValueError, OSError) as problem:
            error = problem
    text = None if error is None else str(error)
    result, text = pickle.loads(_broadcast_bytes(driver, pickle.dumps((result, text))))
    if error is not None:
        raise error
    if text is not None:
        raise ValueError(text)
    return result


def _broadcast_bytes(driver: Driver, content: bytes) -> bytes:
    """Returns the main process's bytes: the largest of each, because the others pass zeros."""
    mine = np.frombuffer(content if is_main() else b"", np.uint8)
    size = int(np.asarray(driver.largest(np.array(mine.size, np.int32))))
    padded = np.zeros(size, np.uint8)
    padded[: mine.size] = mine
    return np.asarray(driver.largest(padded)).tobytes()


def require_same(what: str, content: Mapping[str, Any]) -> None:
    """Refuses processes that are about to run different things; nothing is compiled for it.

    Args:
        what: the name of the content, for the error.
        content: JSON that has to be the same on every process.

    Raises:
        ValueError: on every process, when it is not; names each field that differs.
    """
    if store.count() == 1:
        return
    # Each comparison has its own keys; all processes make the same ones in the same order.
    folder = f"jaxsched/same/{what}/{next(_comparisons)}"
    if store.own_number() == 0:
        store.leave_text(f"{folder}/main", json.dumps(content))
    (main,) = _all_texts(f"{folder}/main", 1)
    changes = "; ".join(differences(json.loads(main), json.loads(json.dumps(content))))
    text = f"process {store.own_number()} differs from process 0 in {changes}" if changes else ""
    store.leave_text(f"{folder}/changes", text)
    if found := "; ".join(filter(None, _all_texts(f"{folder}/changes", store.count()))):
        raise ValueError(
            f"every process has to have the same {what}, got different ones: {found}. Start all of "
            "them with the same files and arguments."
        )


def _all_texts(folder: str, count: int) -> list[str]:
    """Returns the texts in a folder of the store, once so many processes have written theirs."""
    while len(found := store.texts(folder)) < count:
        time.sleep(_LOOK_SECONDS)  # as long as one loads its data; `EndTogether` ends the wait
    return list(found.values())
