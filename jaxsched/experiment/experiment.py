"""An experiment: everything that a run depends on, as one frozen value."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from jaxsched.batch_size.growth import GrowOnDecay, GrowOnNoise
from jaxsched.experiment.pretrained import Pretrained
from jaxsched.experiment.serialize import describe
from jaxsched.field_types import check_field_types
from jaxsched.optim.optax_chain import as_optimizer
from jaxsched.optim.optimizers import Optimizer
from jaxsched.optim.stateful import Plateau
from jaxsched.plan import Phase, Plan
from jaxsched.tasks import Task

# File systems take 255, and a record's name adds a digest, a seed and an ending.
_MAX_NAME_BYTES = 200


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run: its task, phases and optimizer, and how it is executed.

    A config file holds one experiment under the name `experiment`, and the command line can
    override any field of it. Times are in epochs, because a number of epochs stays meaningful when
    the batch size changes.

    Attributes:
        name: the experiment's name in tables and file names.
        task: what is learnt from which data, such as an `ImageClassification`. On the command line
            and in records its fields stand beside those of the experiment: `--data.folder`.
        phases: how many epochs to train at which batch size; one phase may stand alone.
        optimizer: the optimizer, its schedules in epochs; an Optax transformation becomes an
            `OptaxChain`.
        evaluate_every: epochs between evaluations; there is always one at the end.
        weight_norms: whether evaluations also measure |w|² of each layer and, for SGD, the terms of
            its change; the terms cost three reductions over the weights at each update.
        pretrained: the layers of another run to start from; None draws all weights.
        stats_memory: what the running statistics of batch norm remember where the batch size
            changes: as many "examples" as at the first size, by stepping with the momentum to the
            power of B / B₀, or as many "updates", however many examples these are.
        batch_growth: the rule that decides later batch sizes during the run, in an experiment of
            one phase.
        max_device_batch: the most examples that a device processes at a time; if its share of a
            batch is larger, the device splits it into micro-batches, with the same result. None for
            no limit.
        precision: the dtype that the network computes in. Parameters, batch statistics and loss are
            float32. With "float32" products are too, also on a TPU or GPU, which would otherwise
            round what they multiply.
        driver: "jit" splits the batch over a mesh of devices, "pmap" maps over them; the result is
            the same. Estimating the gradient noise costs "pmap" one number more to exchange, but
            "jit" the gradient of every micro-batch.
        gradient_dtype: the dtype in which devices add up their gradients. A network that computes
            in bfloat16 can exchange them in "bfloat16" too, which halves the bytes and rounds each
            device's gradient to three digits. "pmap" then rounds all of them, "jit" those that
            layers compute in bfloat16, and adds up micro-batches first, in float32. On a GPU "jit"
            rounds those of convolutions in bfloat16 by either choice.
        num_devices: how many devices of each process to use; by default all, but on a CPU only as
            many virtual devices as are faster than one.
        seed: the seed of initial weights, data order, augmentation and dropout.

    Raises:
        ValueError: when a field has another type, a number is out of its range, or the batch
            cannot grow by the given rule.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Digits
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="digits_cosine",
        ...     task=ImageClassification(model=CifarResNet(depth=8, width=8), data=Digits()),
        ...     phases=(js.Phase(epochs=10, batch_size=50),),
        ...     optimizer=js.SGD(lr=js.Cosine(0.1, duration=10), momentum=0.9),
        ... )
        >>> experiment.plan(num_examples=1500).total_steps
        300
    """

    name: str
    # Described flat and, for image classification, without its name, as in records from before
    # there were other tasks.
    task: Annotated[Task, tyro.conf.arg(name="")] = field(metadata={"described": "flat"})
    phases: tuple[Phase, ...]
    optimizer: Optimizer
    evaluate_every: float = 1.0
    weight_norms: bool = False
    batch_growth: GrowOnDecay | GrowOnNoise | None = None
    max_device_batch: int | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    driver: Literal["jit", "pmap"] = "jit"
    num_devices: int | None = None
    seed: int = 0
    pretrained: Pretrained | None = field(default=None, metadata={"described": "unless default"})
    # Records from before there was a choice are of runs that remembered updates.
    stats_memory: Literal["examples", "updates"] = field(
        default="examples",
        metadata={"described": lambda run: run.remembers_examples, "left_out": "updates"},
    )
    gradient_dtype: Literal["float32", "bfloat16"] = field(
        default="float32", metadata={"described": "unless default"}
    )

    def __post_init__(self):
        if isinstance(self.phases, Phase):
            object.__setattr__(self, "phases", (self.phases,))
        object.__setattr__(self, "optimizer", as_optimizer("Experiment", self.optimizer))
        check_field_types(self)
        if not self.evaluate_every > 0:
            raise ValueError(
                f"Experiment needs evaluate_every above 0 epochs, got {self.evaluate_every}."
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"Experiment needs a seed within [0, 2**31), got {self.seed}.")
        if not _is_file_name(self.name):
            raise ValueError(
                "Experiment needs a name of letters, digits, '-', '_' and '.', not of dots alone "
                f"and of at most {_MAX_NAME_BYTES} bytes, because files are named after it, got "
                f"{self.name!r}."
            )

        if self.max_device_batch is not None and self.max_device_batch < 1:
            raise ValueError(
                "Experiment needs max_device_batch of at least 1 example, or None, got "
                f"{self.max_device_batch}."
            )
        if self.gradient_dtype == "bfloat16" and self.precision == "float32":
            raise ValueError(
                'Experiment needs a network in bfloat16 for gradient_dtype="bfloat16", got '
                'precision="float32"; give it precision="bfloat16" too, or leave gradient_dtype '
                "out."
            )
        if self.batch_growth is not None:
            self._check_growth()
        if self.optimizer.plateau is not None:
            self._check_observed(self.optimizer.plateau)

    def _check_observed(self, plateau: Plateau) -> None:
        """Raises a ValueError unless the task measures the metric that plateau observes."""
        known = self.task.columns
        if plateau.metric not in known:
            raise ValueError(
                f"Plateau needs a metric of the task, one of {list(known)}, got {plateau.metric!r}."
            )
        better = known[plateau.metric].better
        if (plateau.mode == "max") != (better == "higher"):
            raise ValueError(
                f"Plateau observes {plateau.metric}, of which {better} values are better; write "
                f'Plateau({plateau.metric!r}, better="{better}").'
            )

    def _check_growth(self) -> None:
        """Raises a ValueError if the batch cannot grow by the given rule."""
        optimizer, rule = self.optimizer, type(self.batch_growth).__name__
        if len(self.phases) != 1:
            raise ValueError(
                f"{rule} decides on the phases during the run and needs one phase to start with, "
                f"got {len(self.phases)}; give phases=(Phase(all epochs, first batch size),)."
            )
        if isinstance(self.batch_growth, GrowOnDecay):
            if optimizer.abel is None and optimizer.plateau is None:
                raise ValueError(
                    f"{rule} follows the decays of ABEL or plateau, got an optimizer with neither; "
                    "give it abel=Abel(…) or plateau=Plateau(…)."
                )
            optimizer.with_lr_scaled_by(2.0)  # raises if the learning rate cannot be changed
        elif optimizer.noise is None:
            raise ValueError(
                f"{rule} follows the gradient's noise scale, got an optimizer that does not "
                "estimate it; give it noise=NoiseEstimate()."
            )

    @property
    def remembers_examples(self) -> bool:
        """Whether `stats_memory` makes the run another one than if it remembered updates."""
        changes = self.batch_growth is not None or len({p.batch_size for p in self.phases}) > 1
        return changes and self.stats_memory == "examples"

    def with_task(self, **changes: Any) -> "Experiment":
        """Returns the experiment with other fields of its task, such as `data` or `model`."""
        task: Any = self.task  # a dataclass, as every task is
        return dataclasses.replace(self, task=dataclasses.replace(task, **changes))

    def plan(self, num_examples: int) -> Plan:
        """Returns the plan of this experiment on a training set of `num_examples`.

        Raises:
            ValueError: when phases or evaluations do not fit the training set.
        """
        if self.evaluate_every * num_examples < 1:
            raise ValueError(
                "Experiment needs evaluate_every of at least one example, which is "
                f"{1 / num_examples:.2g} epochs of {num_examples} examples, got "
                f"{self.evaluate_every}."
            )
        return Plan(tuple(self.phases), num_examples)

    def batch_sizes(self, plan: Plan, multiple_of: int) -> tuple[int, ...]:
        """Returns the distinct batch sizes of a plan in order, and those the batch may grow to.

        Args:
            plan: the plan of this experiment.
            multiple_of: sizes that the batch may grow to are multiples of this.

        Raises:
            ValueError: when the batch cannot grow from the first size.
        """
        if self.batch_growth is None:
            return plan.batch_sizes
        return self.batch_growth.batch_sizes(
            plan.batch_sizes[0],
            plan.num_examples,
            decay_factor=self.optimizer.lr_decay_factor,
            multiple_of=multiple_of,
        )

    def evaluation_steps(self, num_examples: int) -> tuple[int, ...]:
        """Returns the updates after which to evaluate: each `evaluate_every` epochs and at the end.

        An evaluation comes after all updates that start before its mark in examples, so that
        experiments with other batch sizes are evaluated after the same number of examples, up to
        one batch.
        """
        return evaluation_steps(self.plan(num_examples), self.evaluation_marks(num_examples))

    def evaluation_marks(self, num_examples: int) -> tuple[int, ...]:
        """Returns the numbers of examples seen at which to evaluate."""
        num_marks = int(self.plan(num_examples).total_epochs / self.evaluate_every)
        return tuple(round(n * self.evaluate_every * num_examples) for n in range(1, num_marks + 1))

    def digest(self) -> str:
        """Returns eight characters that identify this experiment, whatever its seed."""
        content = describe(dataclasses.replace(self, seed=0))
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _is_file_name(name: str) -> bool:
    is_spelt = all(letter.isalnum() or letter in "-_." for letter in name)
    return is_spelt and name.strip(".") != "" and len(name.encode()) <= _MAX_NAME_BYTES


def evaluation_steps(plan: Plan, marks: Sequence[int]) -> tuple[int, ...]:
    """Returns the updates after which to evaluate: one for each mark, and the last one.

    The updates up to a mark are those that start before it.

    Args:
        plan: the plan of the run.
        marks: numbers of examples seen.
    """
    steps = {min(plan.step_at(mark), plan.total_steps) for mark in marks}
    return tuple(sorted(steps | {plan.total_steps}))
