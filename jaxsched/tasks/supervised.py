"""Supervised learning with a network, data and a loss of one's own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.data import Dataset, Examples, Source
from jaxsched.data.dataset import UnreadArrays
from jaxsched.field_types import check_field_types
from jaxsched.identity import BY_CONTENT, Identified
from jaxsched.models import Variables
from jaxsched.models.model import BatchStats
from jaxsched.models.own.as_module import as_module
from jaxsched.models.own.functions import (
    ModuleFunctions,
    OwnModule,
    described,
    module_outputs,
    require_float32,
)
from jaxsched.tasks.losses import CrossEntropy, Loss, require_one_an_example
from jaxsched.tasks.metrics import LOSS, Metric, MetricSums
from jaxsched.tasks.task import Inputs, Task, TaskFunctions

if TYPE_CHECKING:
    ModuleLike: TypeAlias = Any
else:
    # The annotation of a field that takes Flax's modules too, and makes this of them.
    ModuleLike: TypeAlias = OwnModule


@dataclass(frozen=True, eq=False)
class OwnMetric(Identified):
    """A metric of one's own, the mean over the examples of a function of outputs and targets.

    Attributes:
        name: its name in rows and records, an identifier.
        function: `(outputs, targets) -> f32[B]`, the value of each example.
        better: whether lower or higher values are better.
        is_share: whether it is a share, which is shown in per cent.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.tasks import OwnMetric
        >>> error = OwnMetric("absolute_error", lambda outputs, y: abs(outputs - y)[:, 0], "lower")
        >>> error.function(jnp.ones((1, 1)), jnp.zeros((1, 1)))
        Array([1.], dtype=float32)
    """

    name: str
    function: Callable[[Any, Any], Any] = field(metadata=BY_CONTENT)
    better: Literal["lower", "higher"]
    is_share: bool = False

    def __post_init__(self):
        check_field_types(self)
        if not self.name.isidentifier() or self.name == "loss":
            raise ValueError(
                f"OwnMetric needs a name such as absolute_error, not loss, got {self.name!r}."
            )


@dataclass(frozen=True, eq=False)
class Supervised(Identified, Task):
    """Learns a target of each example from its other arrays, with a network of one's own.

    An example is one row of all arrays of the data; the last one is the target, the others are the
    network's inputs. A uint8 input becomes float32, divided by 255. A batch has one dropout key,
    that of its first example, so that micro-batches and replicas under `driver="pmap"` draw other
    masks than one whole batch.

    Attributes:
        model: the network, such as a `LinenModule` or an `NnxModule`; a Flax module becomes one.
        data: the source of the examples, such as `Arrays`.
        loss: the loss of an example.
        own_metrics: what to measure beside the loss and its own metrics. The last one is the main
            metric.
        augment: `(key, *inputs) -> inputs`, changes the inputs of one training example at random;
            None trains on them as they are.

    Raises:
        ValueError: when a field has another type; in `build`, when network, data and loss do not
            fit together.

    Example:
        >>> import flax.linen as nn, numpy as np
        >>> from jaxsched.data import Arrays
        >>> from jaxsched.tasks import MeanSquaredError, Supervised
        >>> x = np.random.normal(size=(50, 3))
        >>> task = Supervised(
        ...     model=nn.Dense(1),
        ...     data=Arrays((x, x.sum(axis=1, keepdims=True)), validation=0.2),
        ...     loss=MeanSquaredError(),
        ... )
        >>> task.build(task.data.load()).zero_sums().others
        {}
    """

    model: ModuleLike
    data: Source
    loss: Loss = CrossEntropy()
    own_metrics: tuple[OwnMetric, ...] = ()
    augment: Callable[..., Any] | None = field(default=None, metadata=BY_CONTENT)

    def __post_init__(self):
        object.__setattr__(self, "model", as_module(self.model))
        check_field_types(self)
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"Supervised needs metrics of different names, got {names}.")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The loss, the loss's own metrics and those of the user."""
        own = (Metric(m.name, better=m.better, is_share=m.is_share) for m in self.own_metrics)
        return LOSS, *self.loss.metrics, *own

    @property
    def batch_group(self) -> int | None:
        """See `Task.batch_group`."""
        return self.model.batch_group

    def build(
        self, dataset: Dataset, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> TaskFunctions:
        """See `Task.build`; tries network and loss on the data's shapes before it returns."""
        require_float32(self.model, dtype)
        self._check(dataset)
        functions = _Functions(self, self.model.functions(axis_name), dataset.train.elements)
        return TaskFunctions(
            init=functions.init,
            training_inputs=functions.training_inputs,
            evaluation_inputs=_as_inputs,
            train_loss=functions.train_loss,
            zero_sums=lambda: MetricSums.zero(
                **{metric.name: jnp.float32 for metric in self.metrics[1:]}
            ),
            evaluate=functions.evaluate,
            batch_moments=functions.batch_moments,
            predict=lambda variables, inputs: functions.module.evaluate(variables, inputs[:-1]),
            targets=lambda inputs: inputs[-1],
            metric_values=_metric_values,
            momenta=functions.momenta,
        )

    def _check(self, dataset: Dataset) -> None:
        """Raises a ValueError if data, network and loss do not fit together; compiles nothing."""
        name, elements = str(self.model), dataset.train.elements
        if len(elements) < 2:
            raise ValueError(
                f"Supervised needs inputs and targets, got data of one array {list(elements)}."
            )
        batch = tuple(jax.ShapeDtypeStruct((_BATCH, *e.shape), e.dtype) for e in elements)
        *inputs, targets = jax.eval_shape(_as_inputs, batch)
        outputs = module_outputs(self.model, self._augmented_like(inputs))
        self.loss.check(name, outputs, targets)
        for metric in self.own_metrics:
            require_one_an_example(metric.name, metric.function, name, outputs, targets)
        for examples in (dataset.train, dataset.test):
            if isinstance(examples, Examples) and not isinstance(examples, UnreadArrays):
                self.loss.check_targets(outputs, examples)

    def _augmented_like(self, inputs: list[Any]) -> tuple[Any, ...]:
        """The shapes of a batch's inputs, once `augment` has been found to keep them."""
        if self.augment is not None:
            keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), _BATCH))
            found = jax.eval_shape(partial(_augmented, self.augment), keys, *inputs)
            if [(a.shape, a.dtype) for a in found] != [(a.shape, a.dtype) for a in inputs]:
                raise ValueError(
                    "augment needs to return inputs of the shapes and dtypes that it is given, "
                    f"{', '.join(map(described, inputs))}, got {', '.join(map(described, found))}."
                )
        return tuple(inputs)


# The batch that shapes are tried with; no usual number of classes or features.
_BATCH = 7


@dataclass(frozen=True, eq=False)
class _Functions:
    """The longer ones of the task's functions; the inputs are those of the module and a target."""

    task: Supervised
    module: ModuleFunctions
    elements: tuple[jax.ShapeDtypeStruct, ...]

    def init(self, key: jax.Array) -> Variables:
        return self.module.init(key, self._one_example())

    def momenta(self) -> BatchStats:
        return self.module.momenta(self._one_example())

    def _one_example(self) -> Inputs:
        return _as_inputs(tuple(jnp.zeros((1, *e.shape), e.dtype) for e in self.elements))[:-1]

    def training_inputs(self, arrays: tuple[Any, ...], keys: jax.Array) -> Inputs:
        *inputs, targets = _as_inputs(arrays)
        if self.task.augment is not None:
            inputs = _augmented(self.task.augment, keys, *inputs)
        return *inputs, targets

    def train_loss(
        self, variables: Variables, inputs: Inputs, keys: jax.Array
    ) -> tuple[jax.Array, tuple[BatchStats, MetricSums]]:
        outputs, batch_stats = self.module.train(variables, inputs[:-1], keys[0])
        losses, sums = self._measure(outputs, inputs[-1])
        return losses.mean(), (batch_stats, sums)

    def evaluate(self, variables: Variables, inputs: Inputs, counts: jax.Array) -> MetricSums:
        outputs = self.module.evaluate(variables, inputs[:-1])
        return self._measure(outputs, inputs[-1], counts)[1]

    def batch_moments(self, variables: Variables, inputs: Inputs) -> BatchStats:
        stats = self.module.batch_moments(variables, inputs[:-1])
        others = [leaf for leaf in jax.tree.leaves(stats, is_leaf=_is_norm) if not _is_norm(leaf)]
        if others:
            raise ValueError(
                "averaging needs batch statistics that are means and variances, to be estimated "
                f"for the average, got another array {others[0].shape} in {self.task.model}; "
                "leave averaging out, or schedule_free."
            )
        return stats

    def _measure(
        self, outputs: Any, targets: jax.Array, counts: jax.Array | None = None
    ) -> tuple[jax.Array, MetricSums]:
        """The loss of each example, and the sums of all metrics."""
        losses = self.task.loss.of_examples(outputs, targets)
        values = dict(self.task.loss.measure(outputs, targets))
        for metric in self.task.own_metrics:
            values[metric.name] = jnp.asarray(metric.function(outputs, targets), jnp.float32)
        return losses, MetricSums.of(losses, counts, **values)


def _is_norm(node: Any) -> bool:
    """Returns whether a node of the batch statistics is that of one batch norm."""
    return isinstance(node, dict) and set(node) == {"mean", "var"}


def _as_inputs(arrays: tuple[Any, ...]) -> Inputs:
    """The arrays of a batch as the network takes them: uint8 inputs, such as pixels, as shares."""
    *inputs, targets = arrays
    shares = (a.astype(jnp.float32) / 255 if a.dtype == jnp.uint8 else a for a in inputs)
    return *shares, targets


def _augmented(augment: Callable[..., Any], keys: jax.Array, *inputs: Any) -> tuple[Any, ...]:
    """Inputs augmented example by example; a function of one input may return it alone."""
    found = jax.vmap(augment)(keys, *inputs)
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def _metric_values(sums: MetricSums) -> dict[str, Any]:
    return {
        "loss": sums.mean_loss,
        **{name: total / sums.count for name, total in sums.others.items()},
    }
