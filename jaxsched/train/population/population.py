"""Several runs trained at once by one program: one run a device, or several on each."""

import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsched.data import Dataset
from jaxsched.models import Variables
from jaxsched.tasks import MetricSums
from jaxsched.train.dispatch import DispatchSizer
from jaxsched.train.distributed.driver import TakeShard
from jaxsched.train.distributed.population import MembersDriver
from jaxsched.train.input_pipeline.on_device import OnDeviceTraining
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.population.members import Member, why_alone
from jaxsched.train.precision import in_precision
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment, evaluate_block
from jaxsched.train.step.micro_batches import MicroBatches
from jaxsched.train.step.state import TrainState


class StepMetrics(NamedTuple):
    """The metrics of every update of a run, on its batch before the update changed the weights.

    Those of several runs have an axis of members first.
    """

    sums: MetricSums  # each array [updates], of the batch as it was trained on

    @classmethod
    def empty(cls, zero: MetricSums, num_updates: int) -> "StepMetrics":
        """Returns the metrics of a run that has made no update yet: losses that are NaN."""
        sums = jax.tree.map(lambda part: jnp.full(num_updates, part), zero)
        return cls(sums._replace(loss=jnp.full(num_updates, jnp.nan)))

    def with_update(self, step: jax.Array, sums: MetricSums) -> "StepMetrics":
        """Returns these metrics with those of one more update; traced."""
        return StepMetrics(
            jax.tree.map(lambda parts, part: parts.at[step].set(part), self.sums, sums)
        )

    @property
    def losses(self) -> Any:
        """The mean loss of each batch, [updates]; NaN for updates that are still to come."""
        return self.sums.mean_loss


class Population:
    """Trains several runs at once by one program, compiled ahead of time for all of them.

    The members' experiments share a program, see `SharedProgramSpec`. Every member is on one device
    with its whole batch, and has its own weights, order and augmentation: it is the run that it
    would be alone. One that diverges does not touch the others.

    Args:
        members: all runs that it is to train.
        dataset: the data set that their `task.data.load()` returned.
        driver: how many of them run at once, and on which devices.

    Attributes:
        plan: the plan of each member.
        metric_values: the values of metrics of their sums, see `TaskFunctions.metric_values`.
        compile_seconds: seconds spent tracing, compiling and placing the data.

    Raises:
        ValueError: when the members cannot share a program, or cannot run beside others.

    Example:
        >>> import jax, jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import ResNet
        >>> from jaxsched.train import Population, Member, MembersDriver
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="tiny",
        ...     task=ImageClassification(
        ...         model=ResNet(stages=(1,), width=2),
        ...         data=Synthetic(num_train=64, num_test=32),
        ...     ),
        ...     phases=(js.Phase(epochs=2, batch_size=16),),
        ...     optimizer=js.SGD(lr=0.05, momentum=0.9),
        ... )
        >>> members = [Member(experiment, seed) for seed in (0, 1)]
        >>> driver = MembersDriver(jax.devices()[:1], per_device=2)
        >>> runs = Population(members, experiment.task.data.load(), driver).start(members)
        >>> runs.advance(8)
        >>> runs.trace().losses.shape, len(runs.evaluate())
        ((2, 8), 2)
    """

    def __init__(self, members: Sequence[Member], dataset: Dataset, driver: MembersDriver):
        experiment = members[0].experiment
        if reason := why_alone(experiment, dataset):
            raise ValueError(
                f"{experiment.name} cannot be run with others in one program, because {reason}; "
                "run it alone."
            )
        self.plan = experiment.plan(len(dataset.train))
        self.driver, self._members = driver, tuple(members)
        (self._batch_size,) = self.plan.batch_sizes
        task = experiment.task.build(dataset, dtype=jnp.dtype(experiment.precision))
        self.metric_values = task.metric_values
        self._traced = TracedExperiment(
            SharedProgramSpec([member.experiment for member in members], self.plan),
            self.plan,
            task,
            self.plan.batch_sizes,
        )
        start = time.perf_counter()
        data = place_data(driver, dataset, task)
        assert isinstance(data.training, OnDeviceTraining)  # `why_alone` refuses streamed data
        self._training, self._evaluation = data.training, data.evaluation
        self._compile()
        self.compile_seconds = time.perf_counter() - start

    def _compile(self) -> None:
        like, number = self.driver.divided_like, np.int32(0)
        precision = self._traced.experiment.precision
        numbers, seed = like(self._traced.spec.numbers.shape[1:], np.float32), like((), np.int32)
        self._init = self.driver.initialise(self._init_member)
        run = self.driver.members_like(jax.eval_shape(self._init, numbers, seed))
        order = like((2 * self.plan.num_examples,), np.int32)
        _, _, _, _, *arrays = self._training.like(self._batch_size)
        self._compiled_updates = self.driver.compile(
            in_precision(precision, self._train_member),
            *(*run, numbers, number, number, seed, number, number, order, *arrays),
            donate=(0,),
            split=(0, 1, 2, 5, 8),  # state, trace, numbers, and the block's seed and order
        )
        state, _ = run
        self._compiled_evaluation = self.driver.compile(
            in_precision(precision, self._evaluate_member),
            *(state.variables, number, *self._evaluation.like()),
            split=(0,),
        )

    def _init_member(self, numbers: jax.Array, seed: jax.Array) -> tuple[TrainState, StepMetrics]:
        """Traced: a member before its first update."""
        state = self._traced.init_state(seed, numbers)
        return state, StepMetrics.empty(self._traced.task.zero_sums(), self.plan.total_steps)

    def _train_member(
        self,
        shard: TakeShard,
        state: TrainState,
        trace: StepMetrics,
        numbers: jax.Array,
        step: jax.Array,
        count: jax.Array,
        *block: jax.Array,
    ) -> tuple[TrainState, StepMetrics]:
        """Traced: makes `count` updates of one member and keeps the metrics of each."""
        update = self._traced.update(numbers, self._batch_size, self.plan)

        def advance(index: jax.Array, carry: tuple[TrainState, StepMetrics]):
            state, trace = carry
            rows = self._training.rows(shard, self._batch_size, index, block)
            state, sums = update(state, MicroBatches.one(self._training.batch(rows, block)))
            return state, trace.with_update(step + index, sums.metrics)

        return lax.fori_loop(0, count, advance, (state, trace))

    def _evaluate_member(
        self, shard: TakeShard, variables: Variables, count: jax.Array, *block: jax.Array
    ) -> MetricSums:
        """Traced: the sums of one member over the test examples."""
        task, feed = self._traced.task, self._evaluation
        zero = task.zero_sums()
        return evaluate_block(shard, variables, zero, count, *block, task=task, feed=feed)

    def start(self, members: Sequence[Member], state: TrainState | None = None) -> "PopulationRun":
        """Starts some members, at most as many as the driver runs at once.

        Args:
            members: among those that the population was made for.
            state: the state of one run, which each of them goes on from; None draws each member's
                own first weights.
        """
        # Places that nobody takes run the last member again.
        filled = (*members, *[members[-1]] * (self.driver.num_members - len(members)))
        numbers = self._traced.spec.numbers[[self._members.index(member) for member in filled]]
        seeds = tuple(member.seed for member in filled)
        first, trace = self._init(numbers, np.array(seeds, np.int32))
        first = first if state is None else self.driver.repeat(state)
        runs = MemberStates(first, trace, self.driver.divide(numbers), seeds)
        return PopulationRun(self, len(members), runs)

    def update(self, runs: "MemberStates", step: int, count: int) -> "MemberStates":
        """Makes `count` updates of all members, without waiting; their state is overwritten.

        They must start in one epoch.
        """
        epoch, offset = self.plan.place_at(step)
        blocks = self._training.blocks(runs.seeds, epoch, offset, self._batch_size, count)
        ((number, block),) = blocks
        state, trace = self._compiled_updates(
            runs.state, runs.trace, runs.numbers, np.int32(step), np.int32(number), *block
        )
        return runs._replace(state=state, trace=trace)

    def evaluate(self, variables: Variables) -> MetricSums:
        """Sums each member's metrics over the test examples, on device."""
        ((number, block),) = self._evaluation.blocks()
        return self._compiled_evaluation(variables, np.int32(number), *block)


class MemberStates(NamedTuple):
    """The states of all members, and the numbers and seeds that tell the members apart."""

    state: TrainState  # each array [members, …]
    trace: StepMetrics
    numbers: jax.Array  # f32[members, numbers]
    seeds: tuple[int, ...]


class PopulationRun:
    """Members under way, all at the same update; see `Population.start`.

    Attributes:
        step: the number of updates made or under way.
    """

    def __init__(self, population: Population, num_members: int, runs: MemberStates):
        self._population, self._num_members, self._runs = population, num_members, runs
        self.step, self._sizer = int(runs.state.step[0]), DispatchSizer()

    def advance(
        self,
        until: int,
        *,
        dispatch: int | None = None,
        on_updates: Callable[[int], None] = lambda step: None,
    ) -> None:
        """Makes updates up to `until`; the host runs ahead of the devices by one dispatch.

        Args:
            until: the number of updates made in all at the end.
            dispatch: the most updates of a dispatch; by default those of about a second.
            on_updates: called about once a second with the number of updates that are done.
        """
        plan, before = self._population.plan, None
        while self.step < until:
            stop = min(until, plan.next_boundary(self.step))
            count = min(dispatch or self._sizer.updates, stop - self.step)
            self._runs = self._population.update(self._runs, self.step, count)
            self.step += count
            if before is not None:
                # The devices have the next dispatch already, so waiting costs them nothing.
                step, trace = before
                jax.block_until_ready(trace)
                self._sizer.done(step)
                on_updates(step)
            before = self.step, self._runs.trace
        jax.block_until_ready(self._runs.trace)
        self._sizer.pause()
        on_updates(self.step)

    def trace(self) -> StepMetrics:
        """Returns the metrics of the updates so far, [members, updates], on the host."""
        trace = jax.device_get(self._runs.trace)
        made = slice(self._num_members), slice(self.step)
        return jax.tree.map(lambda part: part[made], trace)

    def evaluate(self) -> list[MetricSums]:
        """Sums the metrics over the test examples, by member, on the host."""
        sums = jax.device_get(self._population.evaluate(self._runs.state.variables))
        return [jax.tree.map(itemgetter(n), sums) for n in range(self._num_members)]

    def state(self, member: int) -> TrainState:
        """Returns one member's state, on the host; other members may start from it."""
        return jax.tree.map(lambda part: np.asarray(part[member]), self._runs.state)
