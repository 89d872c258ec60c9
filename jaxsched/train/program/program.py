"""An experiment made executable: its data on the devices and its program compiled."""

import copy
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.data import Dataset
from jaxsched.experiment.experiment import Experiment, evaluation_steps
from jaxsched.models import Params, Variables
from jaxsched.plan import Plan
from jaxsched.plan.clock import SegmentArrays
from jaxsched.tasks import MetricSums
from jaxsched.train.distributed.multihost import broadcast_from_main
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.loading.transfer import PretrainedLayers, load_pretrained
from jaxsched.train.program.batch_split import split_over_devices
from jaxsched.train.program.batch_stats import BatchStatsRecomputation
from jaxsched.train.program.compiler import ProgramCompiler, Updates
from jaxsched.train.program.executables import Compilation, Executables
from jaxsched.train.program.out_of_memory import check_memory, explain_out_of_memory
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment
from jaxsched.train.step.state import TrainState
from jaxsched.train.step.update_sums import UpdateSums
from jaxsched.train.step.weight_norms import layer_names
from jaxsched.transforms import keeps_average


class Prediction(NamedTuple):
    """The network's outputs for the test examples, and what they are compared with."""

    outputs: np.ndarray  # [examples, …], such as the probability of each class
    targets: np.ndarray  # [examples, …], such as the labels


class Program:
    """Runs an experiment with any seed; compiled ahead of time, once for each batch size.

    The first batch size is compiled before the run, the others one after another while it trains.

    A data set in memory lies on every device, and a dispatch makes many updates. One that
    is read example by example is streamed, a batch a dispatch. Either way batches are augmented on
    the device, sums are kept there, and the run is the same.

    Args:
        experiment: the experiment; its seed is not used.
        dataset: the data set that `experiment.task.data.load()` returned.
        alike: other experiments that this program can run too, see `member`.
        read_workers: processes that read and decode streamed data; 0 does it in threads.
        device: the device to use instead of the first, for an experiment that takes one.
        resumes: whether its runs go on from checkpoints, so that an experiment's `pretrained` need
            not be there.

    Attributes:
        plan: the experiment's phases on this data.
        driver: the devices.
        batch_sizes: the plan's batch sizes, or those that the batch may grow to.
        layer_names: the layers, in the order of `squared_norms`.
        metric_values: the values of metrics of their sums, see `TaskFunctions.metric_values`.
        keeps_average: whether the optimizer keeps an average of the weights.
        compile_seconds: seconds spent tracing, compiling and placing the data before the run.

    Raises:
        ValueError: when a batch size cannot be divided over the devices, their micro-batches and
            the examples that are normalised together, when `alike` differ in more than numbers of
            their schedules, when the layers of `pretrained` do not fit, or when the optimizer keeps
            an average that cannot be read, before anything compiles; when an example to evaluate on
            cannot be read.
        FileNotFoundError: when the run of `pretrained` is not there.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        *,
        alike: Sequence[Experiment] = (),
        read_workers: int = 0,
        device: Any = None,
        resumes: bool = False,
    ):
        self.experiment, self.dataset = experiment, dataset
        self.plan = experiment.plan(len(dataset.train))
        self._spec = SharedProgramSpec((experiment, *alike), self.plan)
        self._numbers = self._spec.numbers[0]
        self.driver, self.batch_sizes = split_over_devices(experiment, self.plan, dataset, device)
        self._evaluation_marks = experiment.evaluation_marks(len(dataset.train))
        dtype, axis_name = jnp.dtype(experiment.precision), self.driver.axis_name
        task = experiment.task.build(dataset, dtype=dtype, axis_name=axis_name)
        self.metric_values = task.metric_values
        self._draw_variables = task.init
        if not resumes:
            _ = self.pretrained  # refuses what does not fit before anything compiles
        traced = TracedExperiment(
            self._spec, self.plan, task, self.batch_sizes, self._evaluation_marks, axis_name
        )
        start = time.perf_counter()
        self._data = place_data(self.driver, dataset, task, read_workers)
        self._compile(traced)
        self.compile_seconds = time.perf_counter() - start
        self._data.evaluation.check_readable()  # last, when processes that read have started

    def _compile(self, traced: TracedExperiment) -> None:
        """Compiles all that the run needs before its first update."""
        data = self._data
        compiler = ProgramCompiler(self.driver, traced, data.training, data.evaluation)
        self._compiler = compiler
        self.layer_names = layer_names(compiler.state.params)
        self._num_segments = traced.num_segments
        self._last_segments: tuple[Plan, SegmentArrays] | None = None
        self._executables = Executables(self._compile_updates)
        self.keeps_average = keeps_average(compiler.state.opt_state)
        if self.keeps_average:  # first, because it refuses what is no average
            self._averaged_params = compiler.averaged_params()
        self.wait_for(self.batch_sizes[0])
        self._zero_evaluation = compiler.zero_evaluation()
        self._evaluation = compiler.evaluation()
        self._squared_norms = compiler.squared_norms()
        self._batch_stats = BatchStatsRecomputation(
            compiler, data.statistics, self.plan.num_examples, self.driver.num_shards
        )
        if self.keeps_average:
            self._batch_stats.compile()  # else it would count as training time

    def _compile_updates(self, batch_size: int) -> Updates:
        with self.room_for(self.plan, batch_size):
            compiled = self._compiler.updates(batch_size)
        check_memory(self.driver, compiled, self.experiment, self.plan, batch_size)
        return compiled

    def member(self, experiment: Experiment) -> "Program":
        """Returns a program for one of the `alike`, with the same executables.

        Raises:
            ValueError: when the program was not made for this experiment.
        """
        member = copy.copy(self)
        member.experiment, member._numbers = experiment, self._spec.numbers_of(experiment)
        return member

    @cached_property
    def pretrained(self) -> PretrainedLayers | None:
        """The layers of another run that all runs start from; the main process reads them."""
        spec = self.experiment.pretrained
        if spec is None:
            return None
        like = jax.eval_shape(self._draw_variables, jax.random.key(0))
        return broadcast_from_main(self.driver, lambda: load_pretrained(spec, like))

    def init(self, seed: int) -> TrainState:
        """Draws the state before the first update, but for layers that are pretrained."""
        state = self._compiler.init_state(np.int32(seed), self._numbers)
        if self.pretrained is None:
            return state
        variables = self.pretrained.put_into(jax.device_get(state.variables))
        return self._compiler.state_of(self.driver.replicate(variables), self._numbers)

    @property
    def shapes(self) -> tuple[TrainState, UpdateSums]:
        """The shapes of the state and of the sums of updates, which a checkpoint holds."""
        return self._compiler.state, self._compiler.sums

    def order(self, seed: int, epoch: int) -> jax.Array:
        """Returns the examples of this epoch and of the next, in order: int32[2 N], on device."""
        return self._data.epoch_shuffle(seed, epoch)

    def zero_sums(self) -> UpdateSums:
        """Returns sums over no update, on every device."""
        return self._compiler.zero_sums()

    def evaluation_steps(self, plan: Plan) -> tuple[int, ...]:
        """Returns the updates after which a run with this plan is evaluated."""
        return evaluation_steps(plan, self._evaluation_marks)

    def is_compiled(self, batch_size: int) -> bool:
        """Returns whether updates of this batch size need not wait for the compiler."""
        return self._executables.is_compiled(batch_size)

    def wait_for(self, batch_size: int) -> None:
        """Waits until updates of this batch size are compiled."""
        _ = self._executables[batch_size]

    @property
    def compilations(self) -> tuple[Compilation, ...]:
        """The cost of compiling the updates of each batch size so far."""
        return self._executables.costs()

    def update_memory(self, batch_size: int) -> int:
        """Compiles updates of this batch size; returns the bytes that they take on each device."""
        return self.driver.memory_of(self._compiler.updates(batch_size))

    def room_for(self, plan: Plan, batch_size: int) -> AbstractContextManager[None]:
        """Context manager: turns XLA's out-of-memory error into a MemoryError with advice."""
        return explain_out_of_memory(self.experiment, plan, batch_size, len(self.driver.devices))

    def update(
        self,
        state: TrainState,
        sums: UpdateSums,
        *,
        seed: int,
        step: int,
        count: int,
        plan: Plan | None = None,
    ) -> tuple[TrainState, UpdateSums]:
        """Makes `count` updates from `step` on, without waiting for them.

        They must have one batch size and start in one epoch. Updates end with the first loss that
        is not finite: the sums show it, and the state's step tells which update it was.

        Args:
            state: the state at `step`; overwritten.
            sums: the sums that those of these updates are added to.
            seed: the run's seed.
            step: the first update.
            count: the number of updates.
            plan: the run's plan, where its batch grows; by default the experiment's.

        Raises:
            MemoryError: when some batch size, also of a later phase, does not fit.
        """
        plan = plan or self.plan
        batch_size, (epoch, offset) = plan.batch_size_at(step), plan.place_at(step)
        executable, segments = self._executables[batch_size], self._segments(plan)
        self._executables.check()
        self._executables.prepare(self._upcoming_sizes(plan, step))
        for number, block in self._data.training.blocks(seed, epoch, offset, batch_size, count):
            state, sums = executable(state, sums, np.int32(number), segments, self._numbers, *block)
        return state, sums

    def _segments(self, plan: Plan) -> SegmentArrays:
        """Places a plan's segments on the devices; keeps the last ones, as plans rarely change."""
        if self._last_segments is None or self._last_segments[0] != plan:
            arrays = plan.arrays(self._num_segments)
            self._last_segments = plan, self.driver.replicate(arrays)
        return self._last_segments[1]

    def _upcoming_sizes(self, plan: Plan, step: int) -> tuple[int, ...]:
        """The batch sizes to compile ahead; of a batch that grows, only the next size."""
        if self.experiment.batch_growth is None:
            return tuple(s.batch_size for s in plan.segments if s.end_step > step)
        following = self.batch_sizes.index(plan.batch_size_at(step)) + 1
        return self.batch_sizes[following : following + 1]

    def stop_prefetch(self) -> None:
        """Stops reading and compiling ahead; a later update starts both anew."""
        self._data.training.stop()
        self._executables.stop()

    def evaluate(self, variables: Variables) -> MetricSums:
        """Sums the metrics over the test examples, on device."""
        sums = self._zero_evaluation
        for number, block in self._data.evaluation.blocks():
            sums = self._evaluation(variables, sums, np.int32(number), *block)
        return sums

    def predict(self, variables: Variables) -> Prediction:
        """Computes the outputs for each test example."""
        batches = [
            self._prediction(variables, np.int32(index), *block)
            for number, block in self._data.evaluation.blocks()
            for index in range(number)
        ]
        found, targets, counts = (np.concatenate(part) for part in zip(*batches, strict=True))
        return Prediction(found[counts], targets[counts])

    @cached_property
    def _prediction(self):
        return self._compiler.prediction()

    def averaged_params(self, state: TrainState) -> Params:
        """Returns the average of the weights; only for an optimizer that keeps one."""
        return self._averaged_params(state)

    def squared_norms(self, state: TrainState) -> jax.Array:
        """Returns |w|² of each layer, f32[layers], on device."""
        return self._squared_norms(state)

    def recompute_batch_stats(
        self,
        params: Params,
        *,
        seed: int,
        step: int,
        num_examples: int,
        plan: Plan | None = None,
    ) -> Variables:
        """Recomputes the batch-norm statistics of any parameters.

        The statistics are those of training examples as the updates from `step` on would see them:
        augmented, in batches that normalise themselves, pooled over all of them.

        Args:
            params: parameters such as an average, on every device.
            seed: the run's seed.
            step: the number of updates done.
            num_examples: how many examples to use, rounded up to whole batches, but never more
                than there are.
            plan: the run's plan, where its batch grows; by default the experiment's.
        """
        epoch, offset = (plan or self.plan).place_at(step)
        return self._batch_stats(params, seed, epoch, offset, num_examples)
