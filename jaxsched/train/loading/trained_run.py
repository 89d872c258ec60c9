"""Loads what a run has trained, to use it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.data import Dataset
from jaxsched.experiment.experiment import Experiment
from jaxsched.experiment.from_description import description_changes, rebuild, rebuild_dataset
from jaxsched.models import BatchStats, Variables
from jaxsched.plan import Plan
from jaxsched.tasks import TaskFunctions
from jaxsched.train.checkpointing.checkpoints import read_content, restore_beside, restore_named
from jaxsched.train.checkpointing.plan_so_far import plan_so_far
from jaxsched.train.evaluation import Evaluation
from jaxsched.train.loading.average_stats import re_estimated
from jaxsched.train.loading.find_checkpoint import NEWEST, find_checkpoint
from jaxsched.train.prediction import Predictor
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment
from jaxsched.train.same_data import require_same_data
from jaxsched.train.step.state import TrainState
from jaxsched.transforms import averaged_params, num_averaged


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run as it was when a checkpoint was saved; made by `load_run`.

    Attributes:
        path: the checkpoint's folder.
        experiment: the run's experiment, with the run's seed.
        dataset: the run's data set without its examples: its classes and how it is normalised.
        plan: the plan that the run trained; it is the experiment's unless batch sizes are learned.
        step: the number of updates made.
        rows: all evaluations up to this step.
        state: the whole state, NumPy arrays.
    """

    path: Path
    experiment: Experiment
    dataset: Dataset
    plan: Plan
    step: int
    # A repr of all weights would fill the terminal.
    rows: tuple[Evaluation, ...] = field(repr=False)
    state: TrainState = field(repr=False)
    _saved_stats: BatchStats | None = field(repr=False)
    _content: Mapping[str, Any] = field(repr=False)

    @property
    def is_finished(self) -> bool:
        """Whether all updates of the plan were made."""
        return self.step >= self.plan.total_steps

    @property
    def metrics(self) -> Mapping[str, Any] | None:
        """The metrics of exactly these weights; None if the run did not evaluate at this step."""
        return self.rows[-1].metrics if self.rows and self.rows[-1].step == self.step else None

    @property
    def variables(self) -> Variables:
        """The parameters and the batch-norm statistics, as nested dicts of NumPy arrays."""
        return self.state.variables

    @cached_property
    def averaged_variables(self) -> Variables:
        """The average of the weights, with batch-norm statistics of its own.

        A checkpoint that was saved at an evaluation has the statistics that this evaluation used.
        For any other they are re-estimated, as an evaluation would have done; that takes the
        training data.

        Raises:
            ValueError: when there is no average, or the training data are others than the run's.
        """
        if not num_averaged(self.state.opt_state):
            raise ValueError(
                f"{self.path} holds no average of weights, because its optimizer is without "
                "averaging, or the average had not begun by this step; use averaged=False."
            )
        params = jax.device_get(averaged_params(self.state.opt_state, self.state.params))
        stats = self._saved_stats
        if stats is None:
            stats = self._re_estimated(params) if self.state.batch_stats else {}
        return {"params": params, "batch_stats": stats}

    def _re_estimated(self, params: Any) -> BatchStats:
        dataset = self.experiment.task.data.load()
        require_same_data(self.path, self._content, dataset)
        return re_estimated(
            params,
            self.experiment,
            dataset,
            plan=self.plan,
            step=self.step,
            num_shards=self._content.get("num_shards", 1),  # older versions did not save it
        )

    def predict(self, *examples: np.ndarray, averaged: bool = False) -> np.ndarray:
        """Computes the network's outputs for examples, on this process's first device.

        For images they are the probabilities of the classes. The examples are normalised as in
        training. The network computes in the experiment's precision.

        Args:
            *examples: the parts of the examples as the data set stores them, each [N, …], such as
                images uint8[N, H, W, C]. Those after the first may be left out, such as labels.
            averaged: whether to use the average of the weights.

        Returns:
            The outputs, [N, …], such as f32[N, classes].

        Raises:
            ValueError: when the examples have another dtype or shape, or there is no average.
        """
        parts, elements = [np.asarray(part) for part in examples], self.dataset.test.elements
        _require_examples(parts, elements)
        variables = self.averaged_variables if averaged else self.variables
        return self._predictor(variables, parts)

    @cached_property
    def _predictor(self) -> Predictor:
        task = _functions(self.experiment, self.dataset)
        return Predictor(task, self.dataset.test.elements, self.experiment.precision)


def load_run(
    run: str | Path, checkpoint: str | int = NEWEST, *, experiment: Experiment | None = None
) -> TrainedRun:
    """Loads what a run has trained, from one of its checkpoints.

    The run may be finished, unfinished or still going on, on any number of devices of any kind.
    Its data are not needed, and nothing in its files is run as code: the experiment is made again
    from its description, see `jaxsched.experiment.rebuild`.

    Args:
        run: the path of the run's record, of its folder of checkpoints, or of one checkpoint.
        checkpoint: "newest", "best", the number of updates, or a name such as "before_last_decay".
        experiment: the experiment that the run was made by, where it cannot be made again, as with
            a schedule that is a function within a function; its seed does not matter.

    Raises:
        FileNotFoundError: when there is no such run or checkpoint; the message lists what there is.
        ValueError: when the checkpoint is damaged, or `experiment` is another one than the run's;
            names what differs.

    Example:
        >>> import jaxsched.train
        >>> jaxsched.train.load_run("no/such/run.jsonl")
        Traceback (most recent call last):
        FileNotFoundError: no/such/run.jsonl: expected the path of a run's record (NAME.jsonl) or
        its folder of checkpoints, got neither; look in the --workdir of `jaxsched train`.
    """
    path = find_checkpoint(Path(run).expanduser(), str(checkpoint))
    step, content = read_content(path)
    experiment = _experiment(path, content, experiment)
    described = content.get("dataset")  # checkpoints of older versions have none
    dataset = experiment.task.data.load() if described is None else rebuild_dataset(described)
    plan = experiment.plan(len(dataset.train))
    state, sums = _shapes(experiment, dataset, plan)
    saved = restore_named(path, (state, sums))
    return TrainedRun(
        path=path,
        experiment=experiment,
        dataset=dataset,
        plan=plan_so_far(experiment, plan, content),
        step=step,
        rows=tuple(map(Evaluation.from_json, content["rows"])),
        state=saved.arrays[0],
        _saved_stats=restore_beside(path, state.batch_stats),
        _content=content,
    )


def _experiment(path: Path, content: Mapping[str, Any], given: Experiment | None) -> Experiment:
    """The experiment of a checkpoint: the given one if it is the same, else made again."""
    described, seed = content["experiment"], content["seed"]
    if given is None:
        return dataclasses.replace(rebuild(described), seed=seed)
    if changes := description_changes({**described, "seed": given.seed}, given):
        raise ValueError(
            f"{path} was made by another experiment: {changes}. Give the one that it was made by, "
            "or none."
        )
    return dataclasses.replace(given, seed=seed)


def _shapes(experiment: Experiment, dataset: Dataset, plan: Plan) -> Any:
    """The shapes of what a checkpoint of this experiment holds."""
    spec = SharedProgramSpec((experiment,), plan)
    task, marks = _functions(experiment, dataset), experiment.evaluation_marks(plan.num_examples)
    traced = TracedExperiment(spec, plan, task, plan.batch_sizes, marks)
    numbers = spec.numbers[0]
    return jax.eval_shape(lambda: (traced.init_state(0, numbers), traced.zero_sums(numbers)))


def _functions(experiment: Experiment, dataset: Dataset) -> TaskFunctions:
    return experiment.task.build(dataset, dtype=jnp.dtype(experiment.precision))


def _require_examples(
    examples: Sequence[np.ndarray], elements: Sequence[jax.ShapeDtypeStruct]
) -> None:
    """Raises a `ValueError` unless the parts of the examples are as the data set stores them."""
    fits = 0 < len(examples) <= len(elements) and all(
        part.dtype == element.dtype
        and part.shape == (len(examples[0]), *element.shape)
        and part.shape[0] > 0
        for part, element in zip(examples, elements, strict=False)
    )
    if not fits:
        wanted = [_words(e.dtype, ("N", *e.shape)) for e in elements]
        found = [_words(part.dtype, part.shape) for part in examples]
        raise ValueError(
            f"predict needs examples as the data set stores them, {' and '.join(wanted)}, got "
            f"{' and '.join(found) or 'none'}. It normalises them itself; one image alone is "
            "images[:1]; and parts after the first, such as labels, may be left out."
        )


def _words(dtype: Any, shape: Sequence[Any]) -> str:
    return f"{np.dtype(dtype).name}[{', '.join(map(str, shape))}]"
