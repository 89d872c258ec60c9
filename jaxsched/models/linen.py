"""The layers that the networks share, and the base class that makes a `Model` of a module."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer, ones, variance_scaling, zeros
from jax.typing import DTypeLike

from jaxsched.models.layers.convolution import Padding, Strides, convolution
from jaxsched.models.layers.gradient_dtype import weight_dtype
from jaxsched.models.layers.norm import Norm
from jaxsched.models.model import BatchStats, Model, Network, Variables

Convolve: TypeAlias = Callable[[jax.Array, jax.Array, Strides, Padding], jax.Array]


@dataclasses.dataclass(frozen=True)
class Layers:
    """Makes the layers of a network, all with one norm, dtype and mode.

    Attributes:
        normalisation: the spec's norm.
        dtype: the dtype that convolutions and norms compute in.
        axis_name: the mapped axis of the batch, or None.
        train: whether batch norm uses the batch's statistics or the running ones.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.models import BatchNorm
        >>> Layers(BatchNorm(), jnp.float32, None, train=True).conv(16, 3, name="stem").features
        16
    """

    normalisation: Norm
    dtype: DTypeLike
    axis_name: str | None
    train: bool

    def conv(
        self,
        features: int,
        sides: int | tuple[int, int],
        stride: int = 1,
        *,
        is_padded: bool = True,
        has_bias: bool = False,
        convolve: Convolve = convolution,
        name: str,
    ) -> nn.Module:
        """A convolution with a kernel of this side or these, and torch's padding or none."""
        return _Conv(
            features=features,
            sides=(sides, sides) if isinstance(sides, int) else sides,
            stride=stride,
            is_padded=is_padded,
            has_bias=has_bias,
            convolve=convolve,
            normalisation=self.normalisation,
            dtype=self.dtype,
            name=name,
        )

    def norm(self, *, scale_init: Initializer = ones, name: str) -> nn.Module:
        """The norm that follows a convolution."""
        return self.normalisation.layer(
            dtype=self.dtype,
            axis_name=self.axis_name,
            train=self.train,
            scale_init=scale_init,
            name=name,
        )

    def classify(self, features: jax.Array, num_classes: int) -> jax.Array:
        """Averages over pixels and maps to logits, in float32: [B, H, W, C] -> [B, classes]."""
        return self.head(jnp.mean(features, axis=(1, 2), dtype=jnp.float32), num_classes)

    def head(self, pooled: jax.Array, num_classes: int) -> jax.Array:
        """Maps pooled features to logits, in float32: [B, C] -> [B, classes]."""
        bound = pooled.shape[-1] ** -0.5

        # Torch initialises the weights and the bias of a linear layer in this range.
        def uniform(key: jax.Array, shape: Sequence[int], dtype: DTypeLike) -> jax.Array:
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        return nn.Dense(num_classes, kernel_init=uniform, bias_init=uniform, name="head")(pooled)


class _Conv(nn.Module):
    """A convolution; He et al.'s initial weights, scaled by the fan-out, and a bias of zero."""

    features: int
    sides: tuple[int, int]
    stride: int
    is_padded: bool
    has_bias: bool
    convolve: Convolve
    normalisation: Norm
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        shape = (*self.sides, images.shape[-1], self.features)
        kernel = self.param("kernel", variance_scaling(2.0, "fan_out", "normal"), shape)
        wide = weight_dtype(self.dtype)
        kernel = self.normalisation.kernel(kernel).astype(wide)
        # Torch pads both sides, whereas "SAME" at stride 2 would pad the far side only.
        down, across = (side // 2 if self.is_padded else 0 for side in self.sides)
        padding, strides = ((down, down), (across, across)), (self.stride, self.stride)
        result = self.convolve(images.astype(self.dtype), kernel, strides, padding)
        if not self.has_bias:
            return result
        bias = self.param("bias", zeros, (self.features,))
        return (result.astype(wide) + bias.astype(wide)[None, None, None]).astype(self.dtype)


def residual_blocks(stages: tuple[int, ...], width: int) -> Iterator[tuple[str, int, int]]:
    """Yields each block's name, channels and stride.

    From stage to stage the channels double and the image's sides halve.

    Args:
        stages: the number of blocks in each stage.
        width: channels of the first stage.

    Example:
        >>> list(residual_blocks((1, 2), width=16))
        [('stage1_block1', 16, 1), ('stage2_block1', 32, 2), ('stage2_block2', 32, 1)]
    """
    for stage, blocks in enumerate(stages):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            yield f"stage{stage + 1}_block{block + 1}", width * 2**stage, stride


class LinenNetwork(Network):
    """A spec whose network is a Flax Linen module, `module(images, keys) -> logits`.

    Attributes:
        norm: the normalisation; every spec has this field.

    Example:
        >>> from jaxsched.models import CifarResNet
        >>> isinstance(CifarResNet(depth=8), LinenNetwork)
        True
    """

    norm: Norm

    def module(self, num_classes: int, layers: Layers) -> nn.Module:
        """The Linen module. Its `keys` are None if there is no dropout, as in evaluation."""
        raise NotImplementedError

    @property
    def total_stride(self) -> int:
        """The side of the last stage's pixels, in pixels of the image.

        An image must be at least this large.
        """
        raise NotImplementedError

    @property
    def batch_group(self) -> int | None:
        """See `Network.batch_group`."""
        return self.norm.batch_group

    def build(
        self, num_classes: int, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> Model:
        """See `Network.build`."""
        if num_classes < 2:
            raise ValueError(f"A classifier needs at least 2 classes, got {num_classes=}.")

        def module(train: bool, norm: Norm = self.norm) -> nn.Module:
            return self.module(num_classes, Layers(norm, dtype, axis_name, train))

        evaluate: Callable[..., Any] = module(train=False).apply
        train: Callable[..., Any] = module(train=True).apply
        measure: Callable[..., Any] = module(train=True, norm=self.norm.with_batch_moments()).apply

        def init(key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
            self._check_image(image_shape)
            images = jnp.zeros((1, *image_shape))
            # Not in training mode, in which ghost norm would refuse a batch of one.
            variables = dict(module(train=False).init(key, images, None))
            return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

        def train_logits(
            variables: Variables, images: jax.Array, keys: jax.Array
        ) -> tuple[jax.Array, BatchStats]:
            logits, updated = train(variables, images, keys, mutable=["batch_stats"])
            return logits, updated.get("batch_stats", {})

        def eval_logits(variables: Variables, images: jax.Array) -> jax.Array:
            return evaluate(variables, images, None)

        def batch_moments(variables: Variables, images: jax.Array) -> BatchStats:
            _, updated = measure(variables, images, None, mutable=["batch_stats"])
            return updated.get("batch_stats", {})

        def momenta(image_shape: tuple[int, int, int]) -> BatchStats:
            variables = jax.eval_shape(lambda key: init(key, image_shape), jax.random.key(0))
            return jax.tree.map(lambda _: self.norm.momentum, variables["batch_stats"])

        return Model(init, train_logits, eval_logits, batch_moments, momenta)

    def _check_image(self, image_shape: tuple[int, int, int]) -> None:
        """Raises `ValueError` for a shape that is not an image's, or is too small."""
        if len(image_shape) != 3:
            raise ValueError(
                f"Expected an image shape (height, width, channels), got {image_shape}."
            )
        if min(image_shape[:2]) < self.total_stride:
            raise ValueError(
                f"{type(self).__name__} halves the image down to 1/{self.total_stride} and needs "
                f"at least {self.total_stride} x {self.total_stride} pixels, got an image shape of "
                f"{image_shape}; enlarge the images or choose a network with fewer stages."
            )
