"""A contestant's side of throughput.py: it prepares its job, then runs a round at each request.

The parent writes a line for each round; the answer is a line of JSON with the seconds of a step. At
the end of its input a contestant reports its peak memory. Between rounds it waits and uses no core.
"""

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Job:
    """One measurement of a contestant.

    Attributes:
        contestant: the contestant's name.
        network: the network's name, one of `NETWORKS`.
        batch_size: images in a step.
        precision: "float32" or "bfloat16", the dtype that the network computes in; its parameters
            are float32.
    """

    contestant: str
    network: str
    batch_size: int
    precision: str


class Contestant(NamedTuple):
    """A job prepared by a framework."""

    steps: Callable[[int], None]  # makes so many steps and waits for them
    facts: Mapping[str, Any]  # parameters, environment, …
    device_memory: Callable[[], int | None]  # peak bytes on an accelerator


def serve(prepare: Callable[[Job], Contestant]) -> None:
    """Reads the job from the command line, prepares it and answers until the input ends."""
    job = Job(**json.loads(sys.argv[1]))
    start = time.perf_counter()
    contestant = prepare(job)
    contestant.steps(1)
    ready = time.perf_counter() - start
    _answer(ready_seconds=ready, **contestant.facts)
    count = _steps_a_round(contestant.steps)
    for _ in sys.stdin:
        start = time.perf_counter()
        contestant.steps(count)
        _answer(seconds=(time.perf_counter() - start) / count)
    on_device = contestant.device_memory()
    on_host = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # as Linux counts
    _answer(peak_bytes=on_host if on_device is None else on_device)


def _steps_a_round(steps: Callable[[int], None]) -> int:
    """Finds how many steps take about a second."""
    start = time.perf_counter()
    steps(1)
    return max(1, round(1 / (time.perf_counter() - start)))


def _answer(**content: Any) -> None:
    print(json.dumps(content), flush=True)
