"""Reads every example of a split once, to find those that cannot be read."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from jaxsched.data.dataset import StreamedExamples
from jaxsched.data.read_workers import ReadWorkers

_EXAMPLES_AT_A_TIME = 64
_REQUESTS_AHEAD = 256


def find_unreadable(
    dataset: StreamedExamples,
    workers: ReadWorkers,
    examples: np.ndarray | None = None,
    on_read: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """Reads and decodes examples as an evaluation does; returns an error for each that fails.

    Args:
        dataset: the split.
        workers: who reads.
        examples: int[n], the indices of the examples; by default all.
        on_read: called with the number of examples read since the last call.

    Returns:
        The errors in the order of the examples; each names its file or example.

    Example:
        >>> from jaxsched.data import Digits, ReadWorkers, Streamed, find_unreadable
        >>> digits = Streamed(Digits()).load().test
        >>> with ReadWorkers([digits]) as workers:
        ...     find_unreadable(digits, workers)
        []
    """
    if examples is None:
        examples = np.arange(len(dataset))
    errors: list[str] = []
    ahead: deque[tuple[int, Future[list[str]]]] = deque()

    def finish_first() -> None:
        count, request = ahead.popleft()
        errors.extend(request.result())
        on_read(count)

    try:
        for start in range(0, len(examples), _EXAMPLES_AT_A_TIME):
            some = examples[start : start + _EXAMPLES_AT_A_TIME]
            ahead.append((len(some), workers.submit(_errors, dataset, some)))
            if len(ahead) == _REQUESTS_AHEAD:
                finish_first()
        while ahead:
            finish_first()
    finally:  # also after Ctrl-C
        for _, request in ahead:
            request.cancel()
    return errors


def _errors(dataset: StreamedExamples, examples: np.ndarray) -> list[str]:
    errors = []
    for example in map(int, examples):
        try:
            dataset.read(example, None)
        except Exception as error:  # a source of one's own may raise any
            errors.append(str(error) or f"example {example}: {type(error).__name__}")
    return errors
