"""Wide residual networks: few layers, many channels, and pre-activation."""

import dataclasses

import flax.linen as nn
import jax

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import blocks_per_stage, require_positive
from jaxsched.models.layers.dropout import dropout
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.linen import Layers, LinenNetwork, residual_blocks

_STEM_CHANNELS = 16


@dataclasses.dataclass(frozen=True)
class WideResNet(LinenNetwork):
    """WRN-`depth`-`widen`: 2.75 million parameters as 16-4, 36.5 million as 28-10.

    A 3×3 convolution to 16 channels, then three stages of n pre-activation blocks of two 3×3
    convolutions with 16, 32 and 64 times `widen` channels: depth = 6n + 4. Where the shape changes,
    the shortcut is a 1×1 convolution of the block's first activation. For images of at least 4×4
    pixels.

    Attributes:
        depth: the number of layers with weights: 10, 16, 22, 28 or 40, for example.
        widen: the factor of the channels over those of the thin network.
        dropout: the share dropped between a block's two convolutions, in [0, 1). The paper uses
            0.3, in some of its networks.
        norm: `BatchNorm()`, as in the paper, `BatchNorm(ghost=128)` for growing batches, or
            `GroupNorm()`.

    Raises:
        ValueError: when the depth is not 6n + 4, the dropout outside [0, 1), or the norm does not
            fit the width.

    Source:
        Zagoruyko and Komodakis, "Wide residual networks" (arXiv 1605.07146).

    Example:
        >>> import jax
        >>> model = WideResNet(depth=16, widen=4).build(num_classes=10)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (32, 32, 3)), jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        2748890
    """

    depth: int = 16
    widen: int = 4
    dropout: float = 0.0
    norm: Norm = BatchNorm()

    def __post_init__(self):
        check_field_types(self)
        blocks_per_stage("WideResNet", self.depth, extra=4)
        require_positive("WideResNet", widen=self.widen)
        self.norm.check_width(_STEM_CHANNELS)
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"WideResNet needs a dropout within [0, 1), got dropout={self.dropout}; it is the "
                "share that is dropped, not the share that is kept."
            )

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`; two stages halve the image."""
        return 4

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _WideResNet(self, num_classes, layers)


class _WideBlock(nn.Module):
    """Norm, activation and convolution, twice, with dropout in between."""

    channels: int
    stride: int
    index: int
    dropout: float
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        active = nn.relu(self.layers.norm(name="norm1")(x))
        y = self.layers.conv(self.channels, 3, self.stride, name="conv1")(active)
        y = nn.relu(self.layers.norm(name="norm2")(y))
        if keys is not None and self.dropout > 0:
            y = dropout(y, keys, layer=self.index, rate=self.dropout)
        y = self.layers.conv(self.channels, 3, name="conv2")(y)
        if x.shape != y.shape:
            x = self.layers.conv(self.channels, 1, self.stride, name="shortcut_conv")(active)
        return x + y


class _WideResNet(nn.Module):
    spec: WideResNet
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        spec = self.spec
        stages = (blocks_per_stage("WideResNet", spec.depth, extra=4),) * 3
        x = self.layers.conv(_STEM_CHANNELS, 3, name="stem_conv")(images)
        blocks = residual_blocks(stages, _STEM_CHANNELS * spec.widen)
        for index, (name, channels, stride) in enumerate(blocks):
            x = _WideBlock(channels, stride, index, spec.dropout, self.layers, name=name)(x, keys)
        x = nn.relu(self.layers.norm(name="last_norm")(x))
        return self.layers.classify(x, self.num_classes)
