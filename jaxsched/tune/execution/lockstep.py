"""Trains several members at once and gives each the evaluations that it would have alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

import jax
import numpy as np

from jaxsched.tasks import MetricSums
from jaxsched.train import Evaluation, Member, Population, RunState
from jaxsched.train.divergence import divergence_at, divergence_in_training
from jaxsched.train.evaluation import Measured, make_row
from jaxsched.train.population.population import StepMetrics
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.train.step.weight_norms import squared_norms


class LockstepRuns:
    """Runs of some members of a population, all at the same update.

    The seconds in a member's evaluations are its share: the seconds of all members, divided by
    their number.

    Args:
        population: the compiled population.
        members: the members to run, at most as many as the population runs at once.
        marks: the updates after which to evaluate.
        start: the state that all members start from; None starts each from its initial weights.

    Attributes:
        diverged: the reason by member number, for the members that diverged.
        last_rows: the last evaluation by member number.
    """

    def __init__(
        self,
        population: Population,
        members: Sequence[Member],
        marks: Sequence[int],
        start: RunState | None = None,
    ):
        self._plan, self._num_members = population.plan, len(members)
        self._metric_values = population.metric_values
        self._run = population.start(members, None if start is None else start.state)
        self._marks = [mark for mark in marks if mark > self._run.step]
        self._train_seconds = 0.0 if start is None else start.train_seconds
        self._evaluation_seconds = 0.0 if start is None else start.evaluation_seconds
        self.diverged: dict[int, str] = {}
        self.last_rows: dict[int, Evaluation] = {}

    def rows(self, on_examples: Callable[[int], None]) -> Iterator[dict[int, Evaluation]]:
        """Trains, and yields each evaluation by member number until all have ended or diverged.

        Args:
            on_examples: is called with the number of examples that all members together have
                trained on.
        """
        for mark in self._marks:
            begin, start = self._run.step, time.perf_counter()
            self._run.advance(mark, on_updates=lambda step: on_examples(self._examples(step)))
            trained = time.perf_counter()
            self._train_seconds += (trained - start) / self._num_members
            tests = self._run.evaluate()
            self._evaluation_seconds += (time.perf_counter() - trained) / self._num_members
            rows = self._rows_at_mark(begin, self._run.trace(), tests)
            self.last_rows.update(rows)
            yield rows
            if len(self.diverged) == self._num_members:
                return

    def _examples(self, step: int) -> int:
        return self._plan.examples_at(step) * self._num_members

    def _rows_at_mark(
        self, begin: int, trace: StepMetrics, tests: list[MetricSums]
    ) -> dict[int, Evaluation]:
        """The evaluations by member number, without the members that diverged."""
        rows = {}
        for number, test in enumerate(tests):
            steps = jax.tree.map(itemgetter((number, slice(begin, None))), trace)
            lost = np.flatnonzero(~np.isfinite(steps.losses))
            if number not in self.diverged and len(lost):
                self.diverged[number] = divergence_in_training(begin + lost[0])
            if number not in self.diverged:
                # In float64, because there may be many updates.
                train = jax.tree.map(lambda part: np.sum(part, dtype=np.float64), steps.sums)
                row = self._row(number, train, test)
                if reason := divergence_at(row):
                    self.diverged[number] = reason
                else:
                    rows[number] = row
        return rows

    def _row(self, number: int, train: MetricSums, test: MetricSums) -> Evaluation:
        state = self._run.state(number)
        with np.errstate(over="ignore"):  # NumPy's warning; the row itself tells that it diverged
            norms = np.asarray(squared_norms(state.params))
        return make_row(
            self._plan,
            state,
            Measured(UpdateSums(train), test, averaged=None, squared_norms=norms),
            self._metric_values,
            layer_names=None,
            seconds=(self._train_seconds, self._evaluation_seconds),
        )
