"""Pyramidal residual networks, whose channels grow a little with each block, with ShakeDrop."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import blocks_per_stage, require_positive
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.layers.shake import shake_drop
from jaxsched.models.linen import Layers, LinenNetwork, residual_blocks

_STEM_CHANNELS = 16
# Channels of the output of a bottleneck over those within it.
_EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class PyramidNet(LinenNetwork):
    """PyramidNet-`depth` with a widening of `alpha`, for small images: 1.7 million as 110, 48.

    A 3×3 convolution to 16 channels, then three stages of n blocks. Block l of L = 3n has
    ⌊16 + alpha · l / L + 1/2⌋ channels. It is two 3×3 convolutions (depth = 6n + 2) or, as a
    bottleneck, a 1×1, a 3×3 and a 1×1 convolution to four times the channels (depth = 9n + 2), each
    with a norm behind it and the first with one before it, but without an activation at either end.
    The shortcut has no parameters: new channels are zeros, and where a stage halves the image it is
    the mean of 2×2 pixels. For images of at least 4×4 pixels. PyramidNet(272, alpha=200,
    bottleneck=True, shake_drop=0.5), of 26 million parameters, is the usual one for CIFAR.

    Attributes:
        depth: the number of layers with weights on the main path.
        alpha: the number of channels added from the stem to the last block.
        bottleneck: whether the blocks are bottlenecks.
        shake_drop: the share of examples whose branch is shaken in the last block, in [0, 1), see
            `shake_drop`; in block l of L it is shake_drop · l / L. 0.5 in the paper; 0 for none.
        norm: `BatchNorm()`, as in the paper, or `BatchNorm(ghost=128)` for growing batches. The
            channels of most blocks divide into no groups for a `GroupNorm`.

    Raises:
        ValueError: when the depth is not 6n + 2 or 9n + 2, alpha below 1, shake_drop outside [0,
            1), or the norm does not fit the channels.

    Source:
        Han, Kim and Kim, "Deep pyramidal residual networks" (arXiv 1610.02915), additive, and the
        authors' code (github.com/jhkim89/PyramidNet); Yamada et al., "ShakeDrop regularization for
        deep residual learning" (arXiv 1802.02375).

    Example:
        >>> import jax
        >>> model = PyramidNet(depth=110, alpha=48).build(num_classes=10)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (32, 32, 3)), jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        1772706
    """

    depth: int = 110
    alpha: int = 48
    bottleneck: bool = False
    shake_drop: float = 0.0
    norm: Norm = BatchNorm()

    def __post_init__(self):
        check_field_types(self)
        require_positive("PyramidNet", alpha=self.alpha)
        for channels in (_STEM_CHANNELS, *self.channels):
            self.norm.check_width(channels)
        if not 0 <= self.shake_drop < 1:
            raise ValueError(
                f"PyramidNet needs a shake_drop within [0, 1), got shake_drop={self.shake_drop}; "
                "it is the share that is shaken in the last block."
            )

    @property
    def blocks_per_stage(self) -> int:
        """The number n of blocks in each of the three stages."""
        convolutions = 3 if self.bottleneck else 2
        return blocks_per_stage("PyramidNet", self.depth, extra=2, convolutions=convolutions)

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels of each block; a bottleneck's output has four times as many."""
        blocks = 3 * self.blocks_per_stage
        return tuple(
            (2 * (_STEM_CHANNELS * blocks + self.alpha * block) + blocks) // (2 * blocks)
            for block in range(1, blocks + 1)
        )

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`; two stages halve the image."""
        return 4

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _PyramidNet(self, num_classes, layers)


class _Block(nn.Module):
    """Convolutions (features, side, stride) between norms, and a shortcut without parameters."""

    convolutions: tuple[tuple[int, int, int], ...]
    index: int
    shaken: float
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        y = self.layers.norm(name="norm1")(x)
        for number, (features, side, stride) in enumerate(self.convolutions, 1):
            y = y if number == 1 else nn.relu(y)
            y = self.layers.conv(features, side, stride, name=f"conv{number}")(y)
            y = self.layers.norm(name=f"norm{number + 1}")(y)
        if self.shaken:
            y = shake_drop(y, keys, layer=self.index, rate=self.shaken)
        return y + _shortcut(x, y.shape)


def _shortcut(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The means of 2×2 pixels where the image is halved, and zeros for the channels it lacks."""
    if x.shape[1:3] != shape[1:3]:
        # An odd side's last pixel has no partner: it is a mean of its own.
        odd: Any = [(0, side % 2) for side in x.shape[1:3]]
        x = nn.avg_pool(x, (2, 2), (2, 2), odd, count_include_pad=False)
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, shape[-1] - x.shape[-1])))


class _PyramidNet(nn.Module):
    spec: PyramidNet
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        spec = self.spec
        x = self.layers.conv(_STEM_CHANNELS, 3, name="stem_conv")(images)
        x = self.layers.norm(name="stem_norm")(x)
        blocks = residual_blocks((spec.blocks_per_stage,) * 3, _STEM_CHANNELS)
        for index, ((name, _, stride), channels) in enumerate(
            zip(blocks, spec.channels, strict=True)
        ):
            shaken = spec.shake_drop * (index + 1) / len(spec.channels)
            convolutions = ((channels, 3, stride), (channels, 3, 1))
            if spec.bottleneck:
                widened = _EXPANSION * channels
                convolutions = ((channels, 1, 1), (channels, 3, stride), (widened, 1, 1))
            x = _Block(convolutions, index, shaken, self.layers, name=name)(x, keys)
        x = nn.relu(self.layers.norm(name="last_norm")(x))
        return self.layers.classify(x, self.num_classes)
