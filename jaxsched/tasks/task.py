"""The interface between tasks and the trainer: a spec, and the pure functions that it builds."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.data import Dataset, Source
from jaxsched.models.model import BatchStats, Variables
from jaxsched.tasks.metrics import LOSS, Metric, MetricSums

# The parts of a batch's examples as a network takes them, each [B, …].
Inputs: TypeAlias = tuple[jax.Array, ...]


class TaskFunctions(NamedTuple):
    """A task as pure functions, which are all that training and evaluation use.

    B is the number of examples (on this device, under a mapped axis).

    Attributes:
        init: `key -> variables`: the parameters, and the batch statistics or {}.
        training_inputs: `(arrays, keys key<>[B]) -> inputs`: augments a batch, whose arrays are
            each [B, …], the examples' parts in the data's order and dtypes. An example's
            augmentation depends on its own key alone, since a batch may be cut in any way.
        evaluation_inputs: `arrays -> inputs`, of such a batch; never random.
        train_loss: `(variables, inputs, keys key<>[B]) -> (mean loss f32[], (batch_stats, sums))`.
            An example's dropout depends on its own key alone.
        zero_sums: `() -> sums` over no example.
        evaluate: `(variables, inputs, counts bool[B]) -> sums` over the examples that count.
        batch_moments: `(variables, inputs) -> batch_stats`: the batch's own means and (biased)
            variances; {} without batch statistics.
        predict: `(variables, inputs) -> outputs`, [B, …], such as the probability of each class.
        targets: `inputs -> targets`, [B, …], what the outputs are compared with.
        metric_values: `sums -> values` by the name of each of the task's metrics; of traced sums or
            of NumPy's.
        momenta: `() -> momenta`, see `Model.momenta`; None where they are not known.
        most_evaluated: the most examples that an evaluation may process at a time, for a task with
            large outputs; None for no limit.
    """

    init: Callable[[jax.Array], Variables]
    training_inputs: Callable[[tuple[Any, ...], jax.Array], Inputs]
    evaluation_inputs: Callable[[tuple[Any, ...]], Inputs]
    train_loss: Callable[
        [Variables, Inputs, jax.Array], tuple[jax.Array, tuple[BatchStats, MetricSums]]
    ]
    zero_sums: Callable[[], MetricSums]
    evaluate: Callable[[Variables, Inputs, jax.Array], MetricSums]
    batch_moments: Callable[[Variables, Inputs], BatchStats]
    predict: Callable[[Variables, Inputs], jax.Array]
    targets: Callable[[Inputs], jax.Array]
    metric_values: Callable[[MetricSums], dict[str, Any]]
    momenta: Callable[[], BatchStats] | None = None
    most_evaluated: int | None = None


class Task:
    """The spec of what is learnt from which data: a frozen dataclass that builds the functions.

    It prints as the code that made it, compares, and its fields can be set from a command line. A
    task of your own is such a dataclass; the trainer, the records, tuning and the benchmark know it
    through this interface only.

    Attributes:
        data: the source of the examples.

    Example:
        >>> from jaxsched.data import Digits
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.tasks import ImageClassification
        >>> task = ImageClassification(model=CifarResNet(depth=8), data=Digits())
        >>> task.main_metric
        Metric(name='accuracy', better='higher', is_share=True)
    """

    data: Source

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of evaluations; the first one is the mean loss of an example."""
        return (LOSS,)

    @property
    def main_metric(self) -> Metric:
        """The metric that tells best how good the weights are; the last one by default."""
        return self.metrics[-1]

    @property
    def columns(self) -> dict[str, Metric]:
        """The metrics by the columns of rows that a plateau may observe and a study compare."""
        return {f"{on}_{m.name}": m for on in ("test", "train") for m in self.metrics}

    @property
    def batch_group(self) -> int | None:
        """The number of successive examples that training normalises together.

        None if it is the whole batch, 1 if each example is treated alone.
        """
        return 1

    def build(
        self, dataset: Dataset, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> TaskFunctions:
        """Returns the functions for a loaded data set.

        Args:
            dataset: the data set that `data.load()` returned.
            dtype: the dtype that the network computes in, float32 or bfloat16.
            axis_name: the mapped axis (of `jax.pmap` or `jax.shard_map`) over which batch norm
                averages its statistics. None under `jax.jit`, where the batch is the global one.

        Raises:
            ValueError: when the data set is not one for this task, or does not fit the network.
        """
        raise NotImplementedError
