"""The losses of supervised tasks: of each example, from the network's outputs and the targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsched.data import Examples
from jaxsched.identity import BY_CONTENT, Identified
from jaxsched.models.own.functions import described
from jaxsched.tasks.metrics import Metric


class Loss:
    """Base class of the specs of losses.

    B is the number of examples. An example's loss is a mean over all its other axes, such as the
    places of a sequence.
    """

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What the loss measures beside itself; the last of them is the main one."""
        return ()

    def of_examples(self, outputs: Any, targets: jax.Array) -> jax.Array:
        """Returns the loss of each example, f32[B]."""
        raise NotImplementedError

    def measure(self, outputs: Any, targets: jax.Array) -> Mapping[str, jax.Array]:
        """Returns the value of each example, f32[B], of each of its metrics, by name."""
        del outputs, targets
        return {}

    def check(self, network: str, outputs: Any, targets: Any) -> None:
        """Raises a ValueError for outputs and targets, given as shapes, that do not fit."""
        raise NotImplementedError

    def check_targets(self, outputs: Any, examples: Examples) -> None:
        """Raises a ValueError for targets in memory that are out of range."""
        del outputs, examples


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy with whole-number labels, and the accuracy.

    Formula:
        −log p[label],   p = softmax(outputs)

    Outputs are logits f32[B, …, classes], labels whole numbers [B, …] within 0 … classes − 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.tasks import CrossEntropy
        >>> float(CrossEntropy().of_examples(jnp.zeros((1, 2)), jnp.array([1]))[0])
        0.6931471824645996
    """

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """See `Loss.metrics`."""
        return (Metric("accuracy", "higher", True),)

    def of_examples(self, outputs: Any, targets: jax.Array) -> jax.Array:
        """See `Loss.of_examples`."""
        logits = outputs.astype(jnp.float32)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets.astype(jnp.int32))
        return _mean_of_example(losses)

    def measure(self, outputs: Any, targets: jax.Array) -> Mapping[str, jax.Array]:
        """See `Loss.measure`."""
        correct = outputs.argmax(axis=-1) == targets
        return {"accuracy": _mean_of_example(correct.astype(jnp.float32))}

    def check(self, network: str, outputs: Any, targets: Any) -> None:
        """See `Loss.check`."""
        if targets.dtype.kind not in "iu":
            raise ValueError(
                "cross_entropy needs labels as whole numbers, the number of each example's class, "
                f"got {described(targets)}; convert them by y.astype(int), one-hot rows by "
                'y.argmax(axis=-1), or use loss="mean_squared_error".'
            )
        shape = getattr(outputs, "shape", ())
        if len(shape) < 2 or shape[:-1] != targets.shape:
            fix = "give it an output for each class"
            if targets.shape[1:] == (1,) and shape[:-1] == targets.shape[:1]:
                fix = "give labels y[:, 0]"
            raise ValueError(
                f"cross_entropy needs {network} to return logits [{_sides(targets)}, classes] for "
                f"labels {described(targets)}, got {described(outputs)}; {fix}."
            )
        if shape[-1] < 2:
            raise ValueError(
                f"cross_entropy needs {network} to return a logit for each of at least 2 classes, "
                f"got {described(outputs)}; give its last layer 2 outputs for two classes."
            )

    def check_targets(self, outputs: Any, examples: Examples) -> None:
        """See `Loss.check_targets`."""
        labels, classes = examples.arrays[-1], outputs.shape[-1]
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            first = np.argwhere(wrong)[0]
            raise ValueError(
                f"cross_entropy needs labels within 0 … {classes - 1}, as the network returns "
                f"{classes} logits, got {labels[tuple(first)]} in example {first[0]}, one of "
                f"{wrong.sum()} out of range; number the classes from 0, or give the network as "
                "many outputs as there are classes."
            )


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The squared distance of the outputs from the targets, a mean over all axes.

    Formula:
        mean((outputs − targets)²)

    Outputs and targets have the same shape, [B, …].

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.tasks import MeanSquaredError
        >>> MeanSquaredError().of_examples(jnp.ones((1, 2)), jnp.zeros((1, 2)))
        Array([1.], dtype=float32)
    """

    def of_examples(self, outputs: Any, targets: jax.Array) -> jax.Array:
        """See `Loss.of_examples`."""
        return _mean_of_example(jnp.square(outputs.astype(jnp.float32) - targets))

    def check(self, network: str, outputs: Any, targets: Any) -> None:
        """See `Loss.check`."""
        if getattr(outputs, "shape", None) == targets.shape:
            return
        fix = "or targets of the outputs' shape"
        if getattr(outputs, "shape", None) == (*targets.shape, 1):
            fix = "or targets y[:, None]" if targets.ndim == 1 else "or targets y[..., None]"
        raise ValueError(
            f"mean_squared_error needs {network} to return {described(targets)}, the shape of the "
            f"targets, got {described(outputs)}; give it another last layer, {fix}."
        )


@dataclass(frozen=True, eq=False)
class OwnLoss(Identified, Loss):
    """A loss of one's own.

    Attributes:
        function: `(outputs, targets) -> f32[B]`, the loss of each example.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.tasks import OwnLoss
        >>> loss = OwnLoss(lambda outputs, targets: jnp.abs(outputs - targets).mean(axis=-1))
        >>> loss.of_examples(jnp.ones((1, 2)), jnp.zeros((1, 2)))
        Array([1.], dtype=float32)
    """

    function: Callable[[Any, Any], Any] = field(metadata=BY_CONTENT)

    def of_examples(self, outputs: Any, targets: jax.Array) -> jax.Array:
        """See `Loss.of_examples`."""
        return jnp.asarray(self.function(outputs, targets)).astype(jnp.float32)

    def check(self, network: str, outputs: Any, targets: Any) -> None:
        """See `Loss.check`."""
        require_one_an_example("loss", self.function, network, outputs, targets)


def require_one_an_example(
    what: str, function: Callable[[Any, Any], Any], network: str, outputs: Any, targets: Any
) -> None:
    """Refuses a function of outputs and targets that does not return one number an example.

    Args:
        what: "loss" or the name of a metric, for the message.
        function: the function.
        network: the network's name.
        outputs: the shapes of its outputs.
        targets: the shape of the targets.

    Raises:
        ValueError: says what it got and what it returned or raised.
    """
    given = f"outputs {described(outputs)} of {network} and targets {described(targets)}"
    try:
        returned = jax.eval_shape(function, outputs, targets)
    except Exception as error:  # it is the user's own
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(f"{what} fails on {given}: {type(error).__name__}: {reason}.") from error
    if getattr(returned, "shape", None) != targets.shape[:1]:
        found = "one number" if getattr(returned, "shape", None) == () else described(returned)
        raise ValueError(
            f"{what} needs to return one number an example, [B], for {given}, got {found}; leave "
            "the mean over the examples to the trainer, as by .mean(axis=-1)."
        )


def _mean_of_example(values: jax.Array) -> jax.Array:
    return values.mean(axis=tuple(range(1, values.ndim)))


def _sides(like: Any) -> str:
    return ", ".join(["B", *map(str, like.shape[1:])])
