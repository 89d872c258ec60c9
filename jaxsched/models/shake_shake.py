"""Shake-Shake networks: residual networks of two branches, mixed at random."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import blocks_per_stage, require_positive
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.layers.shake import shake_shake
from jaxsched.models.linen import Layers, LinenNetwork, residual_blocks

_STEM_CHANNELS = 16


@dataclasses.dataclass(frozen=True)
class ShakeShake(LinenNetwork):
    """A Shake-Shake network for small images: "26 2x32d" by default, with 2.9 million parameters.

    A 3×3 convolution to 16 channels, then three stages of n blocks of two branches of two 3×3
    convolutions with 1, 2 and 4 times `width` channels: depth = 6n + 2. In training each block
    mixes its branches by a random number an example, and their gradients by another one; see
    `shake_shake`. Where the shape changes, the shortcut is two 1×1 convolutions to half of the
    channels each, of every pixel (every second one where the image is halved) and of its neighbour
    to the upper left. For images of at least 4×4 pixels.

    Attributes:
        depth: the number of layers with weights on the main path: 26 in the paper, 8 for tests.
        width: channels of a branch in the first stage: 32, 64 or 96 in the paper.
        norm: `BatchNorm()`, as in the paper, `BatchNorm(ghost=128)` for growing batches, or
            `GroupNorm()`.

    Raises:
        ValueError: when the depth is not 6n + 2, the width odd, or the norm does not fit the width.

    Source:
        Gastaldi, "Shake-Shake regularization" (arXiv 1705.07485), "Shake-Shake-Image", and the
        author's code (github.com/xgastaldi/shake-shake).

    Example:
        >>> import jax
        >>> model = ShakeShake(depth=26, width=32).build(num_classes=10)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (32, 32, 3)), jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        2923162
    """

    depth: int = 26
    width: int = 32
    norm: Norm = BatchNorm()

    def __post_init__(self):
        check_field_types(self)
        blocks_per_stage("ShakeShake", self.depth, extra=2)
        require_positive("ShakeShake", width=self.width)
        if self.width % 2:
            raise ValueError(
                "ShakeShake needs an even width, because a shortcut has two halves, got width="
                f"{self.width}."
            )
        self.norm.check_width(_STEM_CHANNELS)
        self.norm.check_width(self.width)

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`; two stages halve the image."""
        return 4

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _ShakeShake(self, num_classes, layers)


class _Block(nn.Module):
    """Two branches, mixed, and a shortcut; all that is not a shortcut begins with an activation."""

    channels: int
    stride: int
    index: int
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        active = nn.relu(x)
        mixed = shake_shake(
            self._branch(active, 1), self._branch(active, 2), keys, layer=self.index
        )
        return mixed + (x if x.shape == mixed.shape else self._shortcut(active))

    def _branch(self, x: jax.Array, number: int) -> jax.Array:
        name = f"branch{number}"
        x = self.layers.conv(self.channels, 3, self.stride, name=f"{name}_conv1")(x)
        x = nn.relu(self.layers.norm(name=f"{name}_norm1")(x))
        x = self.layers.conv(self.channels, 3, name=f"{name}_conv2")(x)
        return self.layers.norm(name=f"{name}_norm2")(x)

    def _shortcut(self, x: jax.Array) -> jax.Array:
        upper_left = jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1]
        halves = []
        for number, half in enumerate((x, upper_left), 1):
            name = f"shortcut_conv{number}"
            halves.append(self.layers.conv(self.channels // 2, 1, self.stride, name=name)(half))
        return self.layers.norm(name="shortcut_norm")(jnp.concatenate(halves, axis=-1))


class _ShakeShake(nn.Module):
    spec: ShakeShake
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        stages = (blocks_per_stage("ShakeShake", self.spec.depth, extra=2),) * 3
        x = self.layers.conv(_STEM_CHANNELS, 3, name="stem_conv")(images)
        x = self.layers.norm(name="stem_norm")(x)
        blocks = residual_blocks(stages, self.spec.width)
        for index, (name, channels, stride) in enumerate(blocks):
            x = _Block(channels, stride, index, self.layers, name=name)(x, keys)
        return self.layers.classify(nn.relu(x), self.num_classes)
