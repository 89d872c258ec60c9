"""Inception-ResNet-v2: residual networks whose branches have kernels of several shapes."""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxsched.field_types import check_field_types
from jaxsched.models.checks import require_stages
from jaxsched.models.layers.dropout import dropout
from jaxsched.models.layers.norm import BatchNorm, Norm
from jaxsched.models.linen import Layers, LinenNetwork

# Below this side some convolution without padding would have no pixel.
_LEAST_SIDE = 75


@dataclasses.dataclass(frozen=True)
class InceptionResNet(LinenNetwork):
    """Inception-ResNet-v2 for images of 299×299: 55.8 million parameters for 1000 classes.

    A stem of five convolutions, then 10, 20 and 10 residual blocks of several branches, whose sums
    are scaled by 0.17, 0.1 and 0.2, with reductions between them that halve the image; then a 1×1
    convolution to 1536 channels, the mean over all pixels, dropout and a linear layer. Each
    convolution of a branch has a norm and an activation behind it; the 1×1 convolution at the end
    of a block has a bias and neither. The last block is not scaled and has no activation.

    Attributes:
        blocks: the number of blocks of each of the three kinds; fewer for tests.
        dropout: the share of the pooled features that is dropped, in [0, 1). 0.2 in the paper,
            which keeps a share of 0.8.
        norm: `BatchNorm(epsilon=0.001)`, as in TF-Slim and Keras, which train no scale, with
            `ghost=32` for the large batches of Smith et al., or `GroupNorm()`.

    Raises:
        ValueError: when a count is below one, the dropout outside [0, 1), or the norm does not fit
            the channels; in `init`, when an image has a side below 75 pixels.

    Source:
        Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on
        learning" (arXiv 1602.07261), as in TF-Slim and Keras, which have a stem and numbers of
        channels of their own; used by Smith et al. (arXiv 1711.00489).

    Example:
        >>> import jax
        >>> model = InceptionResNet().build(num_classes=1000)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (299, 299, 3)),
        ...     jax.random.key(0))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
        55843464
    """

    blocks: tuple[int, int, int] = (10, 20, 10)
    dropout: float = 0.2
    norm: Norm = BatchNorm(epsilon=0.001)

    def __post_init__(self):
        check_field_types(self)
        require_stages("InceptionResNet", self.blocks)
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"InceptionResNet needs a dropout within [0, 1), got dropout={self.dropout}; it is "
                "the share that is dropped, not the share that is kept."
            )
        self.norm.check_width(16)  # the greatest common divisor of all numbers of channels

    @property
    def total_stride(self) -> int:
        """See `LinenNetwork.total_stride`."""
        return 32

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """See `LinenNetwork.module`."""
        return _InceptionResNet(self, num_classes, layers)

    def _check_image(self, image_shape: tuple[int, int, int]) -> None:
        super()._check_image(image_shape)
        if min(image_shape[:2]) < _LEAST_SIDE:
            raise ValueError(
                f"InceptionResNet needs at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels, got an "
                f"image shape of {image_shape}; enlarge the images or choose another network."
            )


class _Conv(NamedTuple):
    """A convolution with a norm and an activation behind it."""

    features: int
    sides: int | tuple[int, int] = 1
    stride: int = 1
    is_padded: bool = True


def _reducing(features: int) -> _Conv:
    return _Conv(features, 3, stride=2, is_padded=False)


# The branches of each kind of block; all see its input, and their outputs are put side by side.
_A = ((_Conv(32),), (_Conv(32), _Conv(32, 3)), (_Conv(32), _Conv(48, 3), _Conv(64, 3)))
_B = ((_Conv(192),), (_Conv(128), _Conv(160, (1, 7)), _Conv(192, (7, 1))))
_C = ((_Conv(192),), (_Conv(192), _Conv(224, (1, 3)), _Conv(256, (3, 1))))
_MIXED = (
    (_Conv(96),),
    (_Conv(48), _Conv(64, 5)),
    (_Conv(64), _Conv(96, 3), _Conv(96, 3)),
)
_REDUCTION_A = ((_reducing(384),), (_Conv(256), _Conv(256, 3), _reducing(384)))
_REDUCTION_B = (
    (_Conv(256), _reducing(384)),
    (_Conv(256), _reducing(288)),
    (_Conv(256), _Conv(288, 3), _reducing(320)),
)
_STEM = (
    (_reducing(32), _Conv(32, 3, is_padded=False), _Conv(64, 3)),
    (_Conv(80), _Conv(192, 3, is_padded=False)),
)


class _Chain(nn.Module):
    """Convolutions, one after another, each with a norm and an activation."""

    convolutions: tuple[_Conv, ...]
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for number, (features, sides, stride, is_padded) in enumerate(self.convolutions, 1):
            conv = self.layers.conv(
                features, sides, stride, is_padded=is_padded, name=f"conv{number}"
            )
            x = nn.relu(self.layers.norm(name=f"norm{number}")(conv(x)))
        return x


class _Branches(nn.Module):
    """Chains that see the same input, their outputs side by side."""

    chains: tuple[tuple[_Conv, ...], ...]
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        return [
            _Chain(chain, self.layers, name=f"branch{number}")(x)
            for number, chain in enumerate(self.chains, 1)
        ]


class _Block(nn.Module):
    """Adds the scaled branches to the input."""

    chains: tuple[tuple[_Conv, ...], ...]
    scale: float
    is_last: bool
    layers: Layers

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        mixed = jnp.concatenate(_Branches(self.chains, self.layers, name="mixed")(x), axis=-1)
        up = self.layers.conv(x.shape[-1], 1, has_bias=True, name="up")(mixed)
        x = x + up * self.scale
        return x if self.is_last else nn.relu(x)


def _max_pool(x: jax.Array) -> jax.Array:
    """A 3×3 max-pool of stride 2 without padding."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")


class _InceptionResNet(nn.Module):
    spec: InceptionResNet
    num_classes: int
    layers: Layers

    @nn.compact
    def __call__(self, images: jax.Array, keys: jax.Array | None) -> jax.Array:
        x = images
        for number, chain in enumerate(_STEM, 1):
            x = _max_pool(_Chain(chain, self.layers, name=f"stem{number}")(x))
        averaged = nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)
        branches = _Branches(_MIXED, self.layers, name="mixed")(x)
        pooled = _Chain((_Conv(64),), self.layers, name="mixed_pooled")(averaged)
        x = jnp.concatenate([*branches, pooled], axis=-1)
        x = self._blocks(x, "a", _A, 0.17)
        x = self._reduced(x, "reduction_a", _REDUCTION_A)
        x = self._blocks(x, "b", _B, 0.1)
        x = self._reduced(x, "reduction_b", _REDUCTION_B)
        x = self._blocks(x, "c", _C, 0.2)
        x = _Chain((_Conv(1536),), self.layers, name="last")(x)
        pooled = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        if keys is not None and self.spec.dropout > 0:
            pooled = dropout(pooled, keys, layer=0, rate=self.spec.dropout)
        return self.layers.head(pooled, self.num_classes)

    def _blocks(
        self, x: jax.Array, kind: str, chains: tuple[tuple[_Conv, ...], ...], scale: float
    ) -> jax.Array:
        count = self.spec.blocks["abc".index(kind)]
        for number in range(1, count + 1):
            is_last = kind == "c" and number == count
            name = f"{kind}_block{number}"
            x = _Block(chains, 1.0 if is_last else scale, is_last, self.layers, name=name)(x)
        return x

    def _reduced(self, x: jax.Array, name: str, chains: tuple[tuple[_Conv, ...], ...]) -> jax.Array:
        branches = _Branches(chains, self.layers, name=name)(x)
        return jnp.concatenate([*branches, _max_pool(x)], axis=-1)
