"""The noise scale of SGD: the one quantity that every method here changes during training."""

from typing import Any

import numpy as np

from jaxsched.schedules.base import require


def noise_scale(lr: Any, batch_size: Any, num_examples: int, momentum: Any = 0.0) -> Any:
    """The scale of the random fluctuations that SGD adds to gradient descent.

    Formula:
        g = lr / (1 − momentum) · (N / B − 1)   ≈   lr · N / (B (1 − momentum)) for B ≪ N

    Decaying the learning rate, growing the batch and lowering the momentum have the same effect on
    g: runs with the same g at every epoch have the same curves over epochs.

    Args:
        lr: learning rate; a number or an array.
        batch_size: B, examples an update.
        num_examples: N, the size of the training set.
        momentum: the momentum of heavy-ball or Nesterov SGD.

    Returns:
        g, with the shape that the arguments broadcast to.

    Raises:
        ValueError: when the momentum is not within [0, 1) or a batch is not within 1 … N.

    Source:
        Smith et al., "Don't decay the learning rate, increase the batch size" (arXiv 1711.00489),
        section 4.

    Example:
        >>> import jaxsched as js
        >>> round(js.noise_scale(0.1, batch_size=128, num_examples=50_000, momentum=0.9), 3)
        389.625
    """
    require(
        lambda momentum: np.greater_equal(momentum, 0) & np.less(momentum, 1),
        momentum,
        message=f"noise_scale needs a momentum within [0, 1), got momentum={momentum}.",
    )
    require(
        lambda batch_size: (
            np.greater_equal(batch_size, 1) & np.less_equal(batch_size, num_examples)
        ),
        batch_size,
        message=f"noise_scale needs a batch_size within 1 … {num_examples}, the training set, got "
        f"batch_size={batch_size}.",
    )
    return lr / (1 - momentum) * (num_examples / batch_size - 1)
