"""Image classification: a network, a data set of images with labels, and how they are augmented."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.data import Augment, Dataset, ImageDataset, Source, normalise
from jaxsched.field_types import check_field_types
from jaxsched.models import Network, Variables
from jaxsched.models.model import BatchStats, Model
from jaxsched.tasks.cross_entropy import cross_entropy
from jaxsched.tasks.metrics import LOSS, Metric, MetricSums
from jaxsched.tasks.task import Inputs, Task, TaskFunctions


@dataclass(frozen=True)
class ImageClassification(Task):
    """Learns the label of each image, by softmax cross-entropy.

    Images lie on the devices as uint8. They are augmented and normalised there.

    Attributes:
        model: the network.
        data: the source of the images.
        augment: crop and flip of the training images; by default what suits the data. It is filled
            in when the task is made, so `dataclasses.replace` with other data needs augment=None.
        label_smoothing: the share of the target that is spread over all classes.

    Raises:
        ValueError: when a field has another type, or `label_smoothing` is outside [0, 1).

    Example:
        >>> from jaxsched.data import Digits
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.tasks import ImageClassification
        >>> ImageClassification(model=CifarResNet(depth=8, width=8), data=Digits()).augment
        Augment(pad=1, flip=False)
    """

    model: Network
    data: Source
    augment: Augment | None = None
    label_smoothing: float = 0.0

    def __post_init__(self):
        check_field_types(self)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                "ImageClassification needs label_smoothing within [0, 1), got "
                f"{self.label_smoothing}."
            )
        if self.augment is None:
            object.__setattr__(self, "augment", self.data.augment)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The loss and the accuracy."""
        return LOSS, Metric("accuracy", better="higher", is_share=True)

    @property
    def batch_group(self) -> int | None:
        """See `Task.batch_group`."""
        return self.model.batch_group

    def build(
        self, dataset: Dataset, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> TaskFunctions:
        """See `Task.build`."""
        if not isinstance(dataset, ImageDataset):
            raise ValueError(
                f"ImageClassification needs images, which {self.data} does not have; give the "
                "experiment the task of these data."
            )
        model = self.model.build(dataset.num_classes, dtype=dtype, axis_name=axis_name)
        functions = _Functions(self, model, dataset, dtype)
        return TaskFunctions(
            init=lambda key: model.init(key, dataset.image_shape),
            training_inputs=functions.training_inputs,
            evaluation_inputs=functions.evaluation_inputs,
            train_loss=functions.train_loss,
            zero_sums=lambda: MetricSums.zero(correct=jnp.int32),
            evaluate=functions.evaluate,
            batch_moments=lambda variables, inputs: model.batch_moments(variables, inputs[0]),
            predict=lambda variables, inputs: jax.nn.softmax(
                model.eval_logits(variables, inputs[0])
            ),
            targets=lambda inputs: inputs[1],
            metric_values=_metric_values,
            momenta=model.momenta and partial(model.momenta, dataset.image_shape),
        )


@dataclass(frozen=True, eq=False)
class _Functions:
    """The longer ones of the task's functions; the inputs are normalised images and labels."""

    task: ImageClassification
    model: Model
    dataset: ImageDataset
    dtype: DTypeLike

    def training_inputs(self, arrays: tuple[Any, ...], keys: jax.Array) -> Inputs:
        images, labels = arrays
        assert self.task.augment is not None  # filled in when the task was made
        return self._normalise(self.task.augment(images, keys)), labels

    def evaluation_inputs(self, arrays: tuple[Any, ...]) -> Inputs:
        images, labels = arrays
        return self._normalise(images), labels

    def _normalise(self, images: jax.Array) -> jax.Array:
        return normalise(images, self.dataset.mean, self.dataset.std, self.dtype)

    def train_loss(
        self, variables: Variables, inputs: Inputs, keys: jax.Array
    ) -> tuple[jax.Array, tuple[BatchStats, MetricSums]]:
        images, labels = inputs
        logits, batch_stats = self.model.train_logits(variables, images, keys)
        losses = cross_entropy(logits, labels, self.task.label_smoothing)
        return losses.mean(), (batch_stats, _sums(losses, logits, labels))

    def evaluate(self, variables: Variables, inputs: Inputs, counts: jax.Array) -> MetricSums:
        images, labels = inputs
        logits = self.model.eval_logits(variables, images)
        return _sums(cross_entropy(logits, labels), logits, labels, counts)


def _sums(
    losses: jax.Array, logits: jax.Array, labels: jax.Array, counts: jax.Array | None = None
) -> MetricSums:
    return MetricSums.of(losses, counts, correct=logits.argmax(axis=-1) == labels)


def _metric_values(sums: MetricSums) -> dict[str, Any]:
    return {"loss": sums.mean_loss, "accuracy": sums.others["correct"] / sums.count}
