"""The normalisation of a network: what follows its convolutions, and what becomes of kernels."""

import dataclasses
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """Normalises each channel by its mean and variance over the global batch.

    Formula:
        y = (x − mean) / √(var + epsilon) · scale + bias
        running ← momentum · running + (1 − momentum) · batch

    In training, mean and (biased) variance are those of the batch and all pixels, averaged over
    the devices; in evaluation they are the running ones.

    Attributes:
        momentum: what the running statistics keep at each update. 0.9 is torch's default, which
            torch calls 0.1; Flax's own default of 0.99 suits runs of many thousand updates.
        epsilon: added to the variance.

    Source:
        Ioffe and Szegedy, "Batch normalization" (arXiv 1502.03167). Torch differs in keeping the
        unbiased variance.

    Example:
        >>> from jaxsched.models import BatchNorm, CifarResNet
        >>> CifarResNet(depth=20, norm=BatchNorm(momentum=0.99)).norm
        BatchNorm(momentum=0.99, epsilon=1e-05)
    """

    momentum: float = 0.9
    epsilon: float = 1e-5

    def without_memory(self) -> "BatchNorm":
        """The same norm with running statistics that are always the last batch's."""
        return dataclasses.replace(self, momentum=0.0)

    def check_width(self, width: int) -> None:
        """Batch norm takes any number of channels."""

    def kernel(self, kernel: jax.Array) -> jax.Array:
        """The kernel a convolution uses: the parameter itself."""
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
    """Normalises each example by itself, in groups of channels, and standardises the kernels.

    Formula:
        y = (x − mean) / √(var + epsilon) · scale + bias     over a group's channels and pixels
        kernel used = `standardise(kernel)`

    Training and evaluation are the same function and batches of any size work alike, so there is
    nothing to keep in step between devices or to re-estimate after averaging weights.

    Attributes:
        group_size: channels a group. The width of the network must be a multiple of it.
        epsilon: added to the variance.

    Source:
        Wu and He, "Group normalization" (arXiv 1803.08494); Qiao et al., "Micro-batch training
        with batch-channel normalization and weight standardization" (arXiv 1903.10520). Four
        channels a group on every layer: H. Desai, "Experiments with CIFAR10", part 1.

    Example:
        >>> from jaxsched.models import GroupNorm, ResNet
        >>> ResNet(stages=(1, 1, 1, 1), norm=GroupNorm()).norm
        GroupNorm(group_size=4, epsilon=1e-05)
    """

    group_size: int = 4
    epsilon: float = 1e-5

    def without_memory(self) -> "GroupNorm":
        """The same norm: it has no running statistics."""
        return self

    def check_width(self, width: int) -> None:
        """Raises ValueError unless `width` channels, and so any multiple, divide into groups."""
        if self.group_size < 1 or width % self.group_size:
            raise ValueError(
                f"GroupNorm needs a group_size that divides the network's width, got group_size="
                f"{self.group_size} for {width} channels; choose one of {_divisors(width)}."
            )

    def kernel(self, kernel: jax.Array) -> jax.Array:
        """The kernel a convolution uses: the standardised parameter."""
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
        del axis_name, train  # An example is normalised by itself, always.
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
        ValueError: when an output channel has a single weight, which has no standard deviation.

    Source:
        Qiao et al. (arXiv 1903.10520), equation 11, with the epsilon of the authors' code.

    Example:
        >>> import jax.numpy as jnp
        >>> standardise(jnp.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)).ravel().round(3)
        Array([-1.,  0.,  1.], dtype=float32)
    """
    if kernel.size == kernel.shape[-1]:
        raise ValueError(
            f"Weight standardisation needs two weights or more an output channel, got a kernel of "
            f"shape {kernel.shape}; use a larger width or BatchNorm."
        )
    centred = kernel - jnp.mean(kernel, axis=(0, 1, 2), keepdims=True)
    return centred / (jnp.std(kernel, axis=(0, 1, 2), ddof=1, keepdims=True) + 1e-5)


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]
