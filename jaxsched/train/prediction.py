"""The outputs of a trained network for any examples."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxsched.models import Variables
from jaxsched.tasks import TaskFunctions
from jaxsched.train.precision import in_precision

# Examples at a time: enough to keep a GPU busy, with at most so many bytes of outputs, because a
# text has a distribution for each token.
_BATCH, _OUTPUT_BYTES = 512, 2**28


class Predictor:
    """Computes a task's outputs for examples, in batches of one size, so that one compiles.

    Args:
        task: the task's functions.
        elements: the shape and dtype of each part of an example.
        precision: that of the experiment.

    Example:
        >>> import jax
        >>> from jaxsched.data import Digits
        >>> from jaxsched.models import CifarResNet
        >>> from jaxsched.tasks import ImageClassification
        >>> from jaxsched.train.prediction import Predictor
        >>> dataset = Digits().load()
        >>> task = ImageClassification(CifarResNet(depth=8, width=2), Digits()).build(dataset)
        >>> predict = Predictor(task, dataset.test.elements, "float32")
        >>> predict(task.init(jax.random.key(0)), [dataset.test.images[:5]]).shape
        (5, 10)
    """

    def __init__(
        self, task: TaskFunctions, elements: Sequence[jax.ShapeDtypeStruct], precision: str
    ):
        self._elements = elements

        def outputs(variables: Variables, parts: Any) -> jax.Array:
            return task.predict(variables, task.evaluation_inputs(parts))

        self._outputs = jax.jit(in_precision(precision, outputs))

    def __call__(self, variables: Variables, parts: Sequence[np.ndarray]) -> Any:
        """Returns the outputs, [N, …], as NumPy arrays.

        Args:
            variables: the network's parameters and batch statistics.
            parts: the first parts of the examples, each [N, …], N at least 1. Zeros stand for
                those that are left out, such as labels, because outputs do not depend on them.
        """
        count = len(parts[0])
        size = min(self._batch_size(variables), count)
        found = []
        for start in range(0, count, size):
            # The last example fills up the last batch.
            rows = np.minimum(np.arange(start, start + size), count - 1)
            absent = (np.zeros((size, *e.shape), e.dtype) for e in self._elements[len(parts) :])
            found.append(self._outputs(variables, (*(part[rows] for part in parts), *absent)))
        return jax.tree.map(lambda *batches: np.concatenate(batches)[:count], *found)

    def _batch_size(self, variables: Variables) -> int:
        one = tuple(jax.ShapeDtypeStruct((1, *e.shape), e.dtype) for e in self._elements)
        outputs = jax.tree.leaves(jax.eval_shape(self._outputs, variables, one))
        num_bytes = sum(output.size * output.dtype.itemsize for output in outputs)
        return min(_BATCH, max(1, _OUTPUT_BYTES // max(num_bytes, 1)))
