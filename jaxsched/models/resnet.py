"""Residual networks of two-convolution blocks for small images: R18 and R9."""

import dataclasses

import flax.linen as nn
import jax
from jax.nn.initializers import ones, zeros

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import require_positive, require_stages
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.linen import Layers, LinenNetwork, residual_blocks


@dataclasses.dataclass(frozen=True)
class ResNet(LinenNetwork):
    """A residual network of two-convolution blocks, with a 3×3 stem and no max-pool.

    Torchvision's ResNet-18 family, adapted to small images: the stem keeps the image's size; each
    later stage halves it and doubles the channels, with a strided 1×1 convolution as its shortcut.
    `R18` (11.17 million parameters) and `R9` (4.90 million) are the usual choices.

    Attributes:
        stages: the number of blocks in each stage: (2, 2, 2, 2) is R18, (1, 1, 1, 1) is R9.
        width: channels of the first stage.
        zero_init_residual: whether the last norm of each block starts with a zero scale, so that
            the block starts as its shortcut alone. False by default, as in torchvision.
        norm: `BatchNorm()`, `BatchNorm(ghost=128)` for growing batches, or `GroupNorm()` for small
            ones.

    Raises:
        ValueError: when a count is below one, or the norm does not fit the width.

    Source:
        He et al. (arXiv 1512.03385), table 1, in the variants of H. Desai, "Experiments with
        CIFAR10", part 2.

    Example:
        >>> import jax
        >>> model = R18.build(num_classes=10)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (32, 32, 3)), jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        11173962
    """

    stages: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    zero_init_residual: bool = False
    norm: Norm = BatchNorm()

    def __post_init__(self):
        check_field_types(self)
        require_stages("ResNet", self.stages)
        require_positive("ResNet", width=self.width)
        self.norm.check_width(self.width)

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`; every stage but the first halves the image."""
        return 2 ** (len(self.stages) - 1)

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _ResNet(self, num_classes, layers)


R18 = ResNet(stages=(2, 2, 2, 2))
R9 = ResNet(stages=(1, 1, 1, 1))


class _BasicBlock(nn.Module):
    """Two 3×3 convolutions; the shortcut is a 1×1 convolution where the shape changes."""

    channels: int
    stride: int
    zero_init: bool
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        last_scale = zeros if self.zero_init else ones
        y = self.layers.conv(self.channels, 3, self.stride, name="conv1")(x)
        y = nn.relu(self.layers.norm(name="norm1")(y))
        y = self.layers.conv(self.channels, 3, name="conv2")(y)
        y = self.layers.norm(scale_init=last_scale, name="norm2")(y)
        if x.shape != y.shape:
            x = self.layers.conv(self.channels, 1, self.stride, name="shortcut_conv")(x)
            x = self.layers.norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


class _ResNet(nn.Module):
    spec: ResNet
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        del keys  # No dropout.
        spec = self.spec
        x = self.layers.conv(spec.width, 3, name="stem_conv")(images)
        x = nn.relu(self.layers.norm(name="stem_norm")(x))
        for name, channels, stride in residual_blocks(spec.stages, spec.width):
            x = _BasicBlock(channels, stride, spec.zero_init_residual, self.layers, name=name)(x)
        return self.layers.classify(x, self.num_classes)
