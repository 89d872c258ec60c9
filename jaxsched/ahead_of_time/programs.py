"""An experiment's programs, compiled for a described machine from shapes alone."""

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.compilation_cache import compilation_cache

from jaxsched.ahead_of_time.hlo.facts import ProgramFacts, read_program
from jaxsched.ahead_of_time.topology import Topology
from jaxsched.data import Dataset
from jaxsched.experiment import Experiment
from jaxsched.train.distributed.described import make_described_driver
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.program.batch_split import (
    checked_batch_sizes,
    micro_batches_per_device,
    split_over_devices,
)
from jaxsched.train.program.batch_stats import statistics_batches
from jaxsched.train.program.compiler import ProgramCompiler
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment
from jaxsched.transforms import keeps_average


@dataclass(frozen=True)
class Memory:
    """The bytes of a chip that a program takes while it runs.

    Attributes:
        arguments: the state, the data and other arguments.
        outputs: the new state and other results.
        aliased: the part of the outputs that takes the place of arguments.
        temporaries: what is kept in between, such as activations.
        code: the program itself.
    """

    arguments: int
    outputs: int
    aliased: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """All of them, what is aliased once."""
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled program.

    Attributes:
        facts: of its text, for one chip and one update, or one batch of an evaluation.
        memory: the bytes of a chip.
        seconds: seconds spent tracing and compiling.
    """

    facts: ProgramFacts
    memory: Memory
    seconds: float


class DoesNotFitError(Exception):
    """The compiler refuses a program that takes more memory than a chip has.

    Attributes:
        needed: the bytes that it would take; the least, where the compiler does not tell.
    """

    def __init__(self, message: str, needed: int):
        super().__init__(message)
        self.needed = needed


class DescribedPrograms:
    """Compiles an experiment's programs; places no array, reads no example and runs nothing.

    Args:
        experiment: the experiment; its seed is not used.
        dataset: the shapes of its data, see `Source.described`, or the data.
        machine: the machine to compile for.

    Attributes:
        plan: the experiment's phases on this data.
        num_chips: the number of chips that a batch is divided over.
        memory: the bytes of a chip that programs may use.
        batch_sizes: the plan's batch sizes, or those that the batch may grow to.

    Raises:
        ValueError: when the machine has too few chips, or when a batch size cannot be divided over
            them, their micro-batches and the examples that are normalised together.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset, machine: Topology):
        self.experiment, self._machine = experiment, machine
        self.plan = experiment.plan(len(dataset.train))
        if machine.devices is None:
            real, _ = split_over_devices(experiment, self.plan, dataset)
            devices, self.memory = real.devices, real.memory()
        else:
            devices = _devices_used(experiment.num_devices, machine)
        if machine.chip is not None:
            self.memory = machine.chip.memory
        self._driver = make_described_driver(experiment.driver, devices)
        self.num_chips = self._driver.num_shards
        self.batch_sizes = checked_batch_sizes(experiment, self.plan, self.num_chips)
        self._dataset = dataset

    def with_max_device_batch(self, most: int) -> "DescribedPrograms":
        """Returns the programs with another limit of the examples that a chip takes at a time."""
        experiment = dataclasses.replace(self.experiment, max_device_batch=most)
        return DescribedPrograms(experiment, self._dataset, self._machine)

    def micro_batches(self, batch_size: int) -> int:
        """Returns how many micro-batches each chip cuts its part of a batch into."""
        return micro_batches_per_device(self.experiment, batch_size, self.num_chips)

    def updates(self, batch_size: int) -> Compiled:
        """Compiles updates of a batch size.

        Raises:
            DoesNotFitError: when the compiler finds that they do not fit.
        """
        return self._compile(lambda: self._compiler.updates(batch_size))

    def evaluation(self) -> Compiled:
        """Compiles an evaluation; raises what `updates` does."""
        return self._compile(lambda: self._compiler.evaluation())

    @property
    def recomputes_batch_stats(self) -> bool:
        """Whether the run keeps an average of weights whose batch norm needs its own statistics."""
        state = self._compiler.state
        return bool(state.batch_stats) and keeps_average(state.opt_state)

    def batch_stats(self) -> Compiled:
        """Compiles the pooling of batch-norm statistics, by its largest batch.

        Raises:
            DoesNotFitError: when the compiler finds that it does not fit.
        """
        largest = statistics_batches(self.plan.num_examples, self.num_chips)[0].size
        return self._compile(lambda: self._compiler.pooling(largest))

    @cached_property
    def _compiler(self) -> ProgramCompiler:
        experiment, driver = self.experiment, self._driver
        task = experiment.task.build(
            self._dataset, dtype=jnp.dtype(experiment.precision), axis_name=driver.axis_name
        )
        traced = TracedExperiment(
            SharedProgramSpec((experiment,), self.plan),
            self.plan,
            task,
            self.batch_sizes,
            experiment.evaluation_marks(self.plan.num_examples),
            driver.axis_name,
        )
        data = place_data(driver, self._dataset, task)
        return ProgramCompiler(driver, traced, data.training, data.evaluation)

    def _compile(self, compile_one: Callable[[], Any]) -> Compiled:
        start = time.perf_counter()
        with _nothing_kept(), _explained():
            compiled = compile_one()
        seconds = time.perf_counter() - start
        # `PmapDriver.compile` returns a partial of the executable.
        executable = getattr(compiled, "func", compiled)
        found = executable.memory_analysis()
        memory = Memory(
            found.argument_size_in_bytes,
            found.output_size_in_bytes,
            found.alias_size_in_bytes,
            found.temp_size_in_bytes,
            found.generated_code_size_in_bytes,
        )
        return Compiled(read_program(executable.as_text()), memory, seconds)


def _devices_used(wanted: int | None, machine: Topology) -> list[Any]:
    """Returns the devices of a machine that a run uses: so many of each host, or all of them."""
    assert machine.devices is not None
    by_host: dict[int, list[Any]] = {}
    for device in machine.devices:
        by_host.setdefault(device.process_index, []).append(device)
    available = len(next(iter(by_host.values())))
    if wanted is not None and not 1 <= wanted <= available:
        raise ValueError(
            f"num_devices must be within 1 … {available}, the chips of a host of {machine.name}, "
            f"got num_devices={wanted}."
        )
    return [device for devices in by_host.values() for device in devices[:wanted]]


@contextlib.contextmanager
def _nothing_kept() -> Iterator[None]:
    """Keeps programs out of JAX's cache on disk: what is compiled for elsewhere can't be read back.

    JAX looks at its option only once, unless it is told to look again.
    """
    kept = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", kept)
        compilation_cache.reset_cache()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turns the compiler's error about too little memory into a `DoesNotFitError`."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        message = str(error)
        if "RESOURCE_EXHAUSTED" not in message:
            raise
        sizes = [
            float(number) * 2 ** {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
            for number, unit in re.findall(r"\b(\d+(?:\.\d+)?)([KMGT]?)\b", message)
        ]
        raise DoesNotFitError(message.splitlines()[0], int(max(sizes, default=0))) from error
