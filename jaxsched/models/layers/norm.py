"""The normalisation of a network: of the outputs of convolutions, and of their kernels."""

import dataclasses
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import divisors
from jaxsched.models.layers.ghost_norm import GhostBatchNorm


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """Normalises each channel by its mean and variance over the global batch, or over groups of it.

    Formula:
        y = (x − mean) / √(var + epsilon) · scale + bias
        running ← momentum · running + (1 − momentum) · batch

    In training, mean and (biased) variance are taken over all examples and pixels of the batch,
    averaged over the devices; in evaluation they are the running ones.

    With `ghost=n` they are taken over groups of n successive examples of the global batch, rows 0
    to n − 1, n to 2n − 1 and so on, and the running statistics are updated once an update, with the
    groups' averages. A larger batch then has more groups, not larger ones: batches can grow while
    the noise of batch norm stays the same, and accumulated micro-batches of whole groups give the
    same result as one big batch. The result does not depend on the number of devices, whether or
    not a group fits into one device's part of the batch.

    Where a run's batch grows from B₀ to B examples, its experiment steps the running statistics
    with momentum^(B / B₀), so that they remember as many examples as before; see
    `Experiment.stats_memory`.

    Attributes:
        momentum: the share of the running statistics that is kept at each update. 0.9 is torch's
            default, which torch calls 0.1; Flax's own default of 0.99 suits runs of many thousand
            updates.
        epsilon: added to the variance.
        ghost: the number of examples in a group; every batch must be a multiple of it. None for the
            whole batch.

    Raises:
        ValueError: when `ghost` is not a whole number of at least one.

    Source:
        Ioffe and Szegedy, "Batch normalization" (arXiv 1502.03167). Torch differs: its running
        variance is unbiased. `ghost`: Hoffer, Hubara and Soudry, "Train longer, generalize better"
        (arXiv 1705.08741), algorithm 1, which steps the running statistics group by group where we
        step once, by the mean of the groups; used for growing batches by Smith et al. (arXiv
        1711.00489).

    Example:
        >>> from jaxsched.models import BatchNorm, CifarResNet
        >>> CifarResNet(depth=20, norm=BatchNorm(momentum=0.99)).norm
        BatchNorm(momentum=0.99, epsilon=1e-05, ghost=None)
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    ghost: int | None = None

    def __post_init__(self):
        check_field_types(self)
        if self.ghost is not None and self.ghost < 1:
            raise ValueError(
                f"BatchNorm needs a ghost of a whole number of at least 1, or None for the whole "
                f"batch, got ghost={self.ghost!r}."
            )

    @property
    def batch_group(self) -> int | None:
        """The number of successive examples that training normalises together; None for all."""
        return self.ghost

    def with_batch_moments(self) -> "BatchNorm":
        """The same norm over the whole batch, with running statistics of the last batch alone.

        It measures the statistics that evaluation normalises by: one mean and one variance of all
        examples. The average of the groups' variances would lack the variance between their means.
        """
        return dataclasses.replace(self, momentum=0.0, ghost=None)

    def check_width(self, width: int) -> None:
        """Accepts any number of channels."""

    def kernel(self, kernel: jax.Array) -> jax.Array:
        """The kernel that a convolution uses: the parameter itself."""
        return kernel

    def layer(
        self,
        *,
        dtype: DTypeLike,
        axis_name: str | None,
        train: bool,
        scale_init: Initializer,
        name: str,
    ) -> nn.Module:
        """The Flax layer, with float32 statistics and parameters."""
        if train and self.ghost is not None:
            return GhostBatchNorm(
                ghost=self.ghost,
                momentum=self.momentum,
                epsilon=self.epsilon,
                dtype=dtype,
                axis_name=axis_name,
                scale_init=scale_init,
                name=name,
            )
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            dtype=dtype,
            axis_name=axis_name,
            scale_init=scale_init,
            name=name,
        )


@dataclasses.dataclass(frozen=True)
class GroupNorm:
    """Normalises each example alone, over groups of channels, and standardises the kernels.

    Formula:
        y = (x − mean) / √(var + epsilon) · scale + bias     over a group's channels and pixels
        kernel used = `standardise(kernel)`

    Training and evaluation are the same function, which does not depend on the batch size. So there
    are no statistics to synchronise between devices or to re-estimate after averaging weights.

    Attributes:
        group_size: the number of channels in a group. The network's width must be a multiple of it.
        epsilon: added to the variance.

    Source:
        Wu and He, "Group normalization" (arXiv 1803.08494); Qiao et al., "Micro-batch training
        with batch-channel normalization and weight standardization" (arXiv 1903.10520). Groups of
        four channels in every layer: H. Desai, "Experiments with CIFAR10", part 1.

    Example:
        >>> from jaxsched.models import GroupNorm, ResNet
        >>> ResNet(stages=(1, 1, 1, 1), norm=GroupNorm()).norm
        GroupNorm(group_size=4, epsilon=1e-05)
    """

    group_size: int = 4
    epsilon: float = 1e-5

    def __post_init__(self):
        check_field_types(self)

    @property
    def batch_group(self) -> int:
        """1: each example is normalised alone."""
        return 1

    @property
    def momentum(self) -> float:
        """0: there are no running statistics to keep."""
        return 0.0

    def with_batch_moments(self) -> "GroupNorm":
        """The norm itself, which has no running statistics."""
        return self

    def check_width(self, width: int) -> None:
        """Raises `ValueError` unless `width` channels, and so any multiple, divide into groups."""
        if self.group_size < 1 or width % self.group_size:
            raise ValueError(
                f"GroupNorm needs a group_size that divides the network's width, got group_size="
                f"{self.group_size} for {width} channels; choose one of {divisors(width)}."
            )

    def kernel(self, kernel: jax.Array) -> jax.Array:
        """The kernel that a convolution uses: the standardised parameter."""
        return standardise(kernel)

    def layer(
        self,
        *,
        dtype: DTypeLike,
        axis_name: str | None,
        train: bool,
        scale_init: Initializer,
        name: str,
    ) -> nn.Module:
        """The Flax layer, with float32 statistics and parameters."""
        del axis_name, train  # Each example is normalised alone, in training and in evaluation.
        return nn.GroupNorm(
            num_groups=None,
            group_size=self.group_size,
            epsilon=self.epsilon,
            dtype=dtype,
            scale_init=scale_init,
            name=name,
        )


# A union, not a base class, so that a typed command line offers both by name.
Norm: TypeAlias = BatchNorm | GroupNorm


def standardise(kernel: jax.Array) -> jax.Array:
    """Gives each output channel's weights zero mean and unit standard deviation.

    Formula:
        (w − mean) / (std + 1e-5)    over height, width and input channels, with the unbiased std

    Args:
        kernel: [height, width, input channels, output channels].

    Raises:
        ValueError: when an output channel has a single weight, and so no standard deviation.

    Source:
        Qiao et al. (arXiv 1903.10520), equation 11, with the epsilon of the authors' code.

    Example:
        >>> import jax.numpy as jnp
        >>> standardise(jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)).ravel().round(3)
        Array([-1.,  0.,  1.], dtype=float32)
    """
    if kernel.size == kernel.shape[-1]:
        raise ValueError(
            "Weight standardisation needs at least two weights for each output channel, got a "
            f"kernel of shape {kernel.shape}; use a larger width or BatchNorm."
        )
    centred = kernel - jnp.mean(kernel, axis=(0, 1, 2), keepdims=True)
    return centred / (jnp.std(kernel, axis=(0, 1, 2), ddof=1, keepdims=True) + 1e-5)
