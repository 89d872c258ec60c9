"""Augmentation and normalisation on the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from jaxsched.data.fields import check_whole, check_yes_or_no


@dataclass(frozen=True)
class Augment:
    """Random crop of the zero-padded image, then random horizontal flip, on the device.

    On a GPU or TPU, images are gathered whole. Crops then choose among shifted copies, and flips
    between an image and its mirror image: a gather of single pixels takes a TPU longer than a whole
    ResNet. On a CPU, where it is the fastest form, one gather by index arithmetic does gather, crop
    and flip. Both forms only choose pixels, so that the results are the same to the bit.

    Formula:
        out[b, y, x] = image[y + dy − pad, x' + dx − pad], or 0 where that lies outside,
        x' = x, or W − 1 − x where flipped;   dy, dx ~ U{0 ... 2 pad},  flipped with probability ½

    An example's dy, dx and flip come from its own key alone, so they depend neither on the batch
    around it nor on the number of devices that share the batch.

    Attributes:
        pad: pixels of zero padding on each side; 4 is usual for 32×32. 0 does not crop.
        flip: whether to flip at random. Do not flip digits.

    Raises:
        ValueError: when `pad` is no whole number of at least 0, or `flip` no bool.

    Source:
        The augmentation of Lee et al., "Deeply-supervised nets" (arXiv 1409.5185), as torchvision's
        `RandomCrop(size, padding=4)` and `RandomHorizontalFlip()`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.data import Augment, example_keys
        >>> images = jnp.arange(100, dtype=jnp.uint8).reshape(25, 2, 2, 1)
        >>> examples = jnp.array([7, 24])
        >>> keys = example_keys(jax.random.key(0), jnp.zeros(2, jnp.int32), examples)
        >>> Augment(pad=4)(images, examples, keys).shape
        (2, 2, 2, 1)
        >>> Augment(pad=0, flip=False)(images, examples, keys)[1, :, :, 0]
        Array([[96, 97],
               [98, 99]], dtype=uint8)
    """

    pad: int = 4
    flip: bool = True

    def __post_init__(self):
        check_whole("Augment", "pad", self.pad, least=0)
        check_yes_or_no("Augment", "flip", self.flip)

    def __call__(self, images: jax.Array, indices: jax.Array, keys: jax.Array) -> jax.Array:
        """The augmented batch.

        Args:
            images: uint8[N, H, W, C], the whole set.
            indices: int32[B], the examples of the batch; each must be in 0 ... N − 1.
            keys: key<>[B], one an example, from `example_keys`. Unused with `pad` 0 and no flip.

        Returns:
            uint8[B, H, W, C].
        """
        if images.ndim != 4 or images.dtype != jnp.uint8:
            raise ValueError(
                "Augment needs the whole set as uint8[N, H, W, C], got "
                f"{images.dtype}{list(images.shape)}; normalise after augmenting."
            )
        if self.pad == 0 and not self.flip:
            return _gather(images, indices)
        draws = self._draw(keys)
        if self.pad == 0:
            return self._by_shifts(images, indices, draws)
        return lax.platform_dependent(
            images, indices, draws, cpu=self._by_pixels, default=self._by_shifts
        )

    def _by_shifts(self, images: jax.Array, indices: jax.Array, draws: "_Draws") -> jax.Array:
        """Gathers images; chooses each one's row offset, then its column offset, then its flip."""
        batch = _gather(images, indices)
        for axis, offsets in ((1, draws.down), (2, draws.right)):
            size = batch.shape[axis]
            edge = [(self.pad, self.pad) if i == axis else (0, 0) for i in range(batch.ndim)]
            padded = jnp.pad(batch, edge)
            batch = lax.slice_in_dim(padded, 0, size, axis=axis)
            for offset in range(1, 2 * self.pad + 1):
                shifted = lax.slice_in_dim(padded, offset, offset + size, axis=axis)
                batch = jnp.where((offsets == offset)[:, None, None, None], shifted, batch)
        if not self.flip:
            return batch
        return jnp.where(draws.flipped[:, None, None, None], batch[:, :, ::-1], batch)

    def _by_pixels(self, images: jax.Array, indices: jax.Array, draws: "_Draws") -> jax.Array:
        """Gathers every pixel of the batch from its place in the set; one of the padding is 0."""
        height, width = images.shape[1:3]
        columns = jnp.arange(width)[None, :]
        columns = jnp.where(draws.flipped[:, None], width - 1 - columns, columns)
        rows = jnp.arange(height)[None, :] + (draws.down - self.pad)[:, None]
        columns = columns + (draws.right - self.pad)[:, None]
        # Pixels of the padding read the nearest pixel of the image, and become 0 below.
        batch = _gather(
            images,
            indices[:, None, None],
            jnp.clip(rows, 0, height - 1)[:, :, None],
            jnp.clip(columns, 0, width - 1)[:, None, :],
        )
        row_inside = (rows >= 0) & (rows < height)
        column_inside = (columns >= 0) & (columns < width)
        inside = row_inside[:, :, None, None] & column_inside[:, None, :, None]
        return jnp.where(inside, batch, jnp.uint8(0))

    def _draw(self, keys: jax.Array) -> "_Draws":
        offsets = 2 * self.pad + 1
        ends = jnp.array([offsets, offsets, 2 if self.flip else 1])
        draws = jax.vmap(lambda key: jax.random.randint(key, (3,), 0, ends))(keys)
        return _Draws(draws[:, 0], draws[:, 1], draws[:, 2] == 1)


class _Draws(NamedTuple):
    """The random numbers of each example of a batch."""

    down: jax.Array  # int32[B], the crop's offset in 0 ... 2 pad
    right: jax.Array  # int32[B], in the same range
    flipped: jax.Array  # bool[B]


def _gather(images: jax.Array, *where: jax.Array) -> jax.Array:
    """`images[where]`, without the code that handles negative and too large indices."""
    return images.at[where].get(mode="promise_in_bounds", wrap_negative_indices=False)


def example_keys(key: jax.Array, epochs: ArrayLike, examples: ArrayLike) -> jax.Array:
    """One key for each example of a batch, a pure function of (key, epoch, example).

    Formula:
        fold_in(fold_in(key, epoch), example)

    Args:
        key: one typed key, used for augmentation alone; `epoch_order` says why.
        epochs: int32[B], the epoch of each example; a batch may straddle two.
        examples: int32[B], the indices of the examples in the whole set.

    Returns:
        key<>[B].

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.data import example_keys
        >>> example_keys(jax.random.key(0), jnp.array([0, 0, 1]), jnp.array([8, 9, 3])).shape
        (3,)
    """

    def one(epoch, example):
        return jax.random.fold_in(jax.random.fold_in(key, epoch), example)

    return jax.vmap(one)(jnp.asarray(epochs), jnp.asarray(examples))


def normalise(
    images: jax.Array,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Scales every channel to mean 0 and standard deviation 1 over the training set.

    Formula:
        (images / 255 − mean) / std  =  (images − 255 mean) · 1 / (255 std)

    The right-hand side is computed in float32 and then cast.

    Args:
        images: uint8[B, H, W, C].
        mean: the mean of images / 255 for each channel.
        std: the standard deviation of images / 255 for each channel.
        dtype: the dtype of the result.

    Returns:
        dtype[B, H, W, C].

    Raises:
        ValueError: when `images` is not uint8, or `mean` or `std` is not one number a channel.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.data import normalise
        >>> normalise(jnp.array([[[[255]]]], jnp.uint8), mean=(0.5,), std=(0.25,))
        Array([[[[2.]]]], dtype=float32)
    """
    if images.dtype != jnp.uint8:
        raise ValueError(f"normalise needs uint8 images, got {images.dtype}; call it only once.")
    channels = images.shape[-1]
    if not len(mean) == len(std) == channels:
        raise ValueError(
            f"normalise needs a mean and a std for each of the {channels} channels, got "
            f"mean={mean}, std={std}."
        )
    shape = (1,) * (images.ndim - 1) + (channels,)
    # Written as a difference times a factor because a product minus a term has two possible values:
    # the compiler may fuse it and round once, or round twice, differently in different programs.
    centre = jnp.asarray(255 * np.asarray(mean), jnp.float32).reshape(shape)
    factor = jnp.asarray(1 / (255 * np.asarray(std)), jnp.float32).reshape(shape)
    return ((images.astype(jnp.float32) - centre) * factor).astype(dtype)
