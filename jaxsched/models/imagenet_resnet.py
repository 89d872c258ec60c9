"""The residual networks of ImageNet with bottleneck blocks, such as ResNet-50."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import ones, zeros

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import require_positive, require_stages
from jaxsched.models.layers.convolution import convolution
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.layers.space_to_depth import space_to_depth_convolution
from jaxsched.models.linen import Layers, LinenNetwork, residual_blocks

# Channels of a block's output over those of its bottleneck.
_EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class BottleneckResNet(LinenNetwork):
    """A residual network of bottleneck blocks for images of 224×224: `RESNET50` by default.

    A 7×7 convolution and a max-pool, each with stride 2, then stages of blocks of a 1×1, a 3×3 and
    a 1×1 convolution. The 3×3 convolution has the stride ("version 1.5", as in torchvision and
    Flax's ImageNet example; in the paper it is the first 1×1). `RESNET50` has 25.6 million
    parameters.

    Attributes:
        stages: the number of blocks in each stage: (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) is
            ResNet-101.
        width: channels of the first stage's bottleneck; its output has four times as many.
        zero_init_residual: whether the last norm of each block starts with a zero scale, so that
            the block starts as its shortcut alone. True as in Flax's example and in Goyal et al.;
            torchvision's default is False.
        norm: `BatchNorm()`, `BatchNorm(ghost=128)` for growing batches, or `GroupNorm()` for small
            ones.
        space_to_depth: whether the 7×7 convolution is computed on blocks of 2×2 pixels, with the
            same parameters and results; see `space_to_depth_convolution`.

    Raises:
        ValueError: when a count is below one, or the norm does not fit the width.

    Source:
        He et al. (arXiv 1512.03385), table 1; Goyal et al., "Accurate, large minibatch SGD"
        (arXiv 1706.02677), section 5.1, for the zero scale.

    Example:
        >>> import jax
        >>> model = RESNET50.build(num_classes=1000)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (224, 224, 3)),
        ...     jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        25557032
    """

    stages: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    zero_init_residual: bool = True
    norm: Norm = BatchNorm()
    space_to_depth: bool = dataclasses.field(
        default=False, metadata={"described": "unless default"}
    )

    def __post_init__(self):
        check_field_types(self)
        require_stages("BottleneckResNet", self.stages)
        require_positive("BottleneckResNet", width=self.width)
        self.norm.check_width(self.width)

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`; the stem halves twice, each later stage once."""
        return 2 ** (len(self.stages) + 1)

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _BottleneckResNet(self, num_classes, layers)


RESNET50 = BottleneckResNet(stages=(3, 4, 6, 3))


class _Bottleneck(nn.Module):
    """Three convolutions; the shortcut is a 1×1 convolution where the shape changes."""

    channels: int
    stride: int
    zero_init: bool
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        widened = _EXPANSION * self.channels
        last_scale = zeros if self.zero_init else ones
        y = self.layers.conv(self.channels, 1, name="conv1")(x)
        y = nn.relu(self.layers.norm(name="norm1")(y))
        y = self.layers.conv(self.channels, 3, self.stride, name="conv2")(y)
        y = nn.relu(self.layers.norm(name="norm2")(y))
        y = self.layers.conv(widened, 1, name="conv3")(y)
        y = self.layers.norm(scale_init=last_scale, name="norm3")(y)
        if x.shape != y.shape:
            x = self.layers.conv(widened, 1, self.stride, name="shortcut_conv")(x)
            x = self.layers.norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


def _max_pool(x: jax.Array) -> jax.Array:
    """A 3×3 max-pool of stride 2, padded on both sides as in torch."""
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


class _BottleneckResNet(nn.Module):
    spec: BottleneckResNet
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        del keys  # No dropout.
        spec = self.spec
        convolve = space_to_depth_convolution if spec.space_to_depth else convolution
        x = self.layers.conv(spec.width, 7, 2, convolve=convolve, name="stem_conv")(images)
        x = nn.relu(self.layers.norm(name="stem_norm")(x))
        x = _max_pool(x)
        for name, channels, stride in residual_blocks(spec.stages, spec.width):
            x = _Bottleneck(channels, stride, spec.zero_init_residual, self.layers, name=name)(x)
        return self.layers.classify(x, self.num_classes)
