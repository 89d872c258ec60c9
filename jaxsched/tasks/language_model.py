"""Language modelling: a network that predicts each next token of a text."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.data import Dataset, Source, TextDataset
from jaxsched.field_types import check_field_types
from jaxsched.models import TokenNetwork, Variables
from jaxsched.models.model import BatchStats
from jaxsched.models.token_model import TokenModel
from jaxsched.tasks.cross_entropy import cross_entropy
from jaxsched.tasks.metrics import LOSS, Metric, MetricSums
from jaxsched.tasks.task import Inputs, Task, TaskFunctions

# The tokens that an evaluation processes at a time: enough to keep a GPU busy. With GPT-2's 50,257
# logits each they take 0.8 GB; those of 512 windows of 1,024 tokens would take 105. On a CPU, whose
# caches larger arrays do not fit into, more bytes at a time take four times as long.
_EVALUATED_TOKENS = 4096


@dataclass(frozen=True)
class LanguageModel(Task):
    """Learns to predict each token of a text from those before it, by softmax cross-entropy.

    An example is a window of the text. Evaluations measure its mean over tokens in nats, `loss`,
    and in bits a byte of the text, `bits_per_byte`, which texts in other tokens can be compared by:

        bits_per_byte = Σ −log2 p(token) / Σ bytes of token, over all tokens that are predicted

    Attributes:
        model: the network.
        data: the source of the text.

    Raises:
        ValueError: when a field has another type.

    Example:
        >>> from jaxsched.data import PythonDocs
        >>> from jaxsched.models import Transformer
        >>> from jaxsched.tasks import LanguageModel
        >>> task = LanguageModel(model=Transformer(depth=2, width=64, heads=4), data=PythonDocs())
        >>> [metric.name for metric in task.metrics]
        ['loss', 'bits_per_byte']
    """

    model: TokenNetwork
    data: Source

    def __post_init__(self):
        check_field_types(self)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The loss and the bits a byte, which is the main metric."""
        return LOSS, Metric("bits_per_byte", better="lower")

    def build(
        self, dataset: Dataset, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> TaskFunctions:
        """See `Task.build`; an example's outputs are log-probabilities f32[context, vocabulary]."""
        del axis_name  # no statistics of a batch
        if not isinstance(dataset, TextDataset):
            raise ValueError(
                f"LanguageModel needs text, which {self.data} does not have; give it TextFiles, "
                "TokenFiles or PythonDocs as data, or the experiment the task of these data."
            )
        model = self.model.build(dataset.vocabulary.size, dtype=dtype)
        functions = _Functions(model, dataset)
        return TaskFunctions(
            init=lambda key: {"params": model.init(key), "batch_stats": {}},
            training_inputs=functions.training_inputs,
            evaluation_inputs=functions.evaluation_inputs,
            train_loss=functions.train_loss,
            zero_sums=lambda: MetricSums.zero(bytes_a_token=jnp.float32),
            evaluate=functions.evaluate,
            batch_moments=lambda variables, inputs: {},
            predict=functions.predict,
            targets=lambda inputs: inputs[1],
            metric_values=_metric_values,
            most_evaluated=max(1, _EVALUATED_TOKENS // dataset.context),
        )


@dataclass(frozen=True, eq=False)
class _Functions:
    """The longer ones of the task's functions; the inputs are tokens and the ones after them."""

    model: TokenModel
    dataset: TextDataset

    def training_inputs(self, arrays: tuple[Any, ...], keys: jax.Array) -> Inputs:
        del keys  # a text is not augmented
        return self.evaluation_inputs(arrays)

    def evaluation_inputs(self, arrays: tuple[Any, ...]) -> Inputs:
        (windows,) = arrays
        tokens = windows.astype(jnp.int32)
        return tokens[:, :-1], tokens[:, 1:]

    def train_loss(
        self, variables: Variables, inputs: Inputs, keys: jax.Array
    ) -> tuple[jax.Array, tuple[BatchStats, MetricSums]]:
        tokens, targets = inputs
        logits = self.model.train_logits(variables["params"], tokens, keys)
        losses = cross_entropy(logits, targets).mean(axis=-1)
        return losses.mean(), ({}, self._sums(losses, targets))

    def evaluate(self, variables: Variables, inputs: Inputs, counts: jax.Array) -> MetricSums:
        tokens, targets = inputs
        logits = self.model.eval_logits(variables["params"], tokens)
        losses = cross_entropy(logits, targets).mean(axis=-1)
        return self._sums(losses, targets, counts)

    def predict(self, variables: Variables, inputs: Inputs) -> jax.Array:
        return jax.nn.log_softmax(self.model.eval_logits(variables["params"], inputs[0]))

    def _sums(
        self, losses: jax.Array, targets: jax.Array, counts: jax.Array | None = None
    ) -> MetricSums:
        lengths = jnp.asarray(self.dataset.vocabulary.byte_lengths)[targets]
        # A mean over the tokens, like the loss, because the bytes of a large text would not fit
        # into an int32. All examples have equally many tokens, so the quotient stays exact.
        return MetricSums.of(losses, counts, bytes_a_token=lengths.mean(axis=-1))


def _metric_values(sums: MetricSums) -> dict[str, Any]:
    bits = sums.loss / math.log(2)
    return {"loss": sums.mean_loss, "bits_per_byte": bits / sums.others["bytes_a_token"]}
