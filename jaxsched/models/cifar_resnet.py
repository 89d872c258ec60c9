"""The residual networks of He et al. for CIFAR-10: thin, with parameter-free shortcuts."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import ones, zeros

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import blocks_per_stage, require_positive
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.linen import Layers, LinenNetwork, residual_blocks


@dataclasses.dataclass(frozen=True)
class CifarResNet(LinenNetwork):
    """ResNet-`depth` for small images: 0.27 million parameters at depth 20, 0.85 at depth 56.

    A 3×3 convolution, then three stages of n blocks of two 3×3 convolutions with 1, 2 and 4 times
    `width` channels, then the mean over all pixels and a linear layer: depth = 6n + 2. Where a
    stage halves the image, the shortcut takes every second pixel and fills the new channels with
    zeros (the paper's option A). For images of at least 4×4 pixels, in colour or grey.

    Attributes:
        depth: the number of layers with weights: 8, 14, 20, 32, 44, 56 or 110, for example. Usual
            choices are 8 for tests and 20 for studies.
        width: channels of the first stage; 16 in the paper.
        norm: `BatchNorm()`, as in the paper, `BatchNorm(ghost=128)` for growing batches, or
            `GroupNorm()`.
        zero_init_residual: whether the last norm of each block starts with a zero scale, so that
            the block starts as its shortcut alone, as in Goyal et al. (arXiv 1706.02677).

    Raises:
        ValueError: when the depth is not 6n + 2, or the norm does not fit the width.

    Source:
        He et al., "Deep residual learning for image recognition" (arXiv 1512.03385), section 4.2.

    Example:
        >>> import jax
        >>> model = CifarResNet(depth=20).build(num_classes=10)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (32, 32, 3)), jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        269722
    """

    depth: int = 20
    width: int = 16
    norm: Norm = BatchNorm()
    zero_init_residual: bool = dataclasses.field(
        default=False, metadata={"described": "unless default"}
    )

    def __post_init__(self):
        check_field_types(self)
        blocks_per_stage("CifarResNet", self.depth, extra=2)
        require_positive("CifarResNet", width=self.width)
        self.norm.check_width(self.width)

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`; two stages halve the image."""
        return 4

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _CifarResNet(self, num_classes, layers)


class _Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    channels: int
    stride: int
    zero_init: bool
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.layers.conv(self.channels, 3, self.stride, name="conv1")(x)
        y = nn.relu(self.layers.norm(name="norm1")(y))
        y = self.layers.conv(self.channels, 3, name="conv2")(y)
        last_scale = zeros if self.zero_init else ones
        y = self.layers.norm(scale_init=last_scale, name="norm2")(y)
        return nn.relu(y + self._shortcut(x))

    def _shortcut(self, x: jax.Array) -> jax.Array:
        x = x[:, :: self.stride, :: self.stride]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.channels - x.shape[-1])))


class _CifarResNet(nn.Module):
    spec: CifarResNet
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        del keys  # No dropout.
        spec = self.spec
        blocks = blocks_per_stage("CifarResNet", spec.depth, extra=2)
        x = self.layers.conv(spec.width, 3, name="stem_conv")(images)
        x = nn.relu(self.layers.norm(name="stem_norm")(x))
        for name, channels, stride in residual_blocks((blocks,) * 3, spec.width):
            x = _Block(channels, stride, spec.zero_init_residual, self.layers, name=name)(x)
        return self.layers.classify(x, self.num_classes)
