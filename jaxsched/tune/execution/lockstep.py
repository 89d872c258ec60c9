"""Members under way at once: the rows that each of them would have alone."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxsched.train import Evaluation, Member, Population, RunState
from jaxsched.train.evaluation import Measured, make_row
from jaxsched.train.population.population import StepMetrics
from jaxsched.train.step.metrics import MetricSums
from jaxsched.train.step.weight_norms import squared_norms


class SideBySide:
    """Some members of a cohort, from evaluation to evaluation.

    The seconds of a row are the member's share: those of all, divided by how many there are.

    Args:
        cohort: that runs them.
        members: as many as it runs at once, or fewer.
        marks: the updates after which they are evaluated.
        start: where all of them go on from; each from its first weights if None.

    Attributes:
        diverged: by the number of a member, when and of what.
        last_rows: by the number of a member, its last row.
    """

    def __init__(
        self,
        cohort: Population,
        members: Sequence[Member],
        marks: Sequence[int],
        start: RunState | None = None,
    ):
        self._plan, self._num_members = cohort.plan, len(members)
        self._round = cohort.start(members, None if start is None else start.state)
        self._marks = [mark for mark in marks if mark > self._round.step]
        self._train_seconds = 0.0 if start is None else start.train_seconds
        self._evaluation_seconds = 0.0 if start is None else start.evaluation_seconds
        self.diverged: dict[int, str] = {}
        self.last_rows: dict[int, Evaluation] = {}

    def rows(self, on_examples: Callable[[int], None]) -> Iterator[dict[int, Evaluation]]:
        """Of each evaluation, by the number of the member, until the end or until all diverged.

        Args:
            on_examples: takes the number of examples that all of them together have trained on.
        """
        for mark in self._marks:
            begin, before = self._round.step, time.perf_counter()
            self._round.advance(mark, on_updates=lambda step: on_examples(self._examples(step)))
            middle = time.perf_counter()
            self._train_seconds += (middle - before) / self._num_members
            tests = self._round.evaluate()
            self._evaluation_seconds += (time.perf_counter() - middle) / self._num_members
            found = self._round_rows(begin, self._round.trace(), tests)
            self.last_rows.update(found)
            yield found
            if len(self.diverged) == self._num_members:
                return

    def _examples(self, step: int) -> int:
        return self._plan.examples_at(step) * self._num_members

    def _round_rows(
        self, begin: int, trace: StepMetrics, tests: list[MetricSums]
    ) -> dict[int, Evaluation]:
        found = {}
        for number, test in enumerate(tests):
            losses, accuracies = (np.asarray(part[number, begin:]) for part in trace)
            if number not in self.diverged and (reason := _divergence(begin, losses, test)):
                self.diverged[number] = reason
            if number not in self.diverged:
                train = self._train_sums(begin, losses, accuracies)
                found[number] = self._row(number, train, test)
        return found

    def _train_sums(self, begin: int, losses: np.ndarray, accuracies: np.ndarray) -> MetricSums:
        """Of the updates since the evaluation before, from their means."""
        steps = range(begin, begin + len(losses))
        sizes = np.array([self._plan.batch_size_at(step) for step in steps])
        correct = np.rint(accuracies * sizes).sum()
        return MetricSums((losses * sizes).sum(), correct.astype(int), sizes.sum())

    def _row(self, number: int, train: MetricSums, test: MetricSums) -> Evaluation:
        state = self._round.state(number)
        norms = np.asarray(squared_norms(state.params))
        return make_row(
            self._plan,
            state,
            Measured(train, test, averaged=None, squared_norms=norms),
            layer_names=None,
            seconds=(self._train_seconds, self._evaluation_seconds),
        )


def _divergence(begin: int, losses: np.ndarray, test: MetricSums) -> str:
    """When and of what, as a run by itself says it; "" where it did not diverge."""
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        return f"diverged at update {begin + bad[0]}: the training loss is not finite"
    if not math.isfinite(test.mean_loss):
        last = begin + len(losses) - 1
        return f"diverged at update {last}: the test loss after it is not finite"
    return ""
