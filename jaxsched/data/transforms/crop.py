"""Crops: the part of an image that becomes the square input of a network."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from jaxsched.data.fields import check_numbers, is_number

if TYPE_CHECKING:
    from PIL.Image import Image

# Left, top, right, bottom, in pixels of the image.
Box: TypeAlias = tuple[float, float, float, float]

_TRIES = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    """Crops a random part of a training image and resizes it to a square.

    Evaluations see the centre of the image.

    Formula:
        area = u · width · height,  u ~ U(area);   ln r ~ U(ln ratio)
        w = round √(area · r),  h = round √(area / r),  at a uniformly random place inside

    A part that does not fit inside is drawn again, at most ten times. After that the crop is the
    largest part in the middle whose ratio is allowed.

    Attributes:
        area: the smallest and the largest share of the image's area.
        ratio: the smallest and the largest width / height.
        centre: in evaluation, the share of the image's shorter side that the square shows. 0.875
            corresponds to an image resized to 256 and cropped to 224.

    Raises:
        ValueError: when a share is outside (0, 1], a ratio is not above 0 or a pair is not in
            order.

    Source:
        Szegedy et al., "Going deeper with convolutions" (arXiv 1409.4842), section 6, as
        torchvision's `RandomResizedCrop`.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import RandomResizedCrop
        >>> whole = RandomResizedCrop(area=(1.0, 1.0), ratio=(1.0, 1.0))
        >>> whole.box(500, 500, np.random.default_rng(0))
        (0, 0, 500, 500)
    """

    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    centre: float = 0.875

    def __post_init__(self):
        check_numbers("RandomResizedCrop", "area", self.area, 2)
        check_numbers("RandomResizedCrop", "ratio", self.ratio, 2)
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(
                "RandomResizedCrop needs area as two shares in order within (0, 1], got "
                f"area={self.area}; (0.08, 1.0) is usual."
            )
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(
                "RandomResizedCrop needs ratio as two numbers above 0 in order, got "
                f"ratio={self.ratio}; (3 / 4, 4 / 3) is usual."
            )
        if not is_number(self.centre) or not 0 < self.centre <= 1:
            raise ValueError(
                f"RandomResizedCrop needs centre within (0, 1], got centre={self.centre!r}."
            )

    def box(self, width: int, height: int, random: np.random.Generator) -> Box:
        """Draws a random box in an image of this size, in whole pixels."""
        narrowest, widest = map(math.log, self.ratio)
        for _ in range(_TRIES):
            area = random.uniform(*self.area) * width * height
            ratio = math.exp(random.uniform(narrowest, widest))
            wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < wide <= width and 0 < high <= height:
                left = int(random.integers(width - wide + 1))
                top = int(random.integers(height - high + 1))
                return left, top, left + wide, top + high
        wide = min(width, max(1, round(height * self.ratio[1])))
        high = min(height, max(1, round(width / self.ratio[0])))
        left, top = (width - wide) // 2, (height - high) // 2
        return left, top, left + wide, top + high


def centre_box(width: int, height: int, size: int, share: float = 1.0) -> Box:
    """The box of a central crop of size × size after resizing the shorter side to size / share.

    Args:
        width: the image's width, in pixels.
        height: the image's height, in pixels.
        size: the side of the square that the box will become, in pixels.
        share: the share of the shorter side that the square shows, in (0, 1].

    Example:
        >>> from jaxsched.data.transforms.crop import centre_box
        >>> centre_box(400, 200, size=100)
        (100.0, 0.0, 300.0, 200.0)
    """
    # The same as resizing the image to whole pixels and cutting whole pixels off each side, as
    # torchvision does, but in a single resampling.
    shorter = round(size / share)
    wide, high = (round(side * shorter / min(width, height)) for side in (width, height))
    left, top = (wide - size) // 2, (high - size) // 2
    across, down = width / wide, height / high
    return left * across, top * down, (left + size) * across, (top + size) * down


def choose_box(
    width: int,
    height: int,
    size: int,
    crop: RandomResizedCrop | None,
    random: np.random.Generator | None,
) -> Box:
    """The box of an image that a network sees: random in training, central in evaluation.

    Args:
        width: the image's width, in pixels.
        height: the image's height, in pixels.
        size: the side of the square that the box will become, in pixels.
        crop: the random crop; None for the centre in training as well.
        random: the example's generator; None in evaluation.
    """
    if crop is None:
        return centre_box(width, height, size)
    if random is None:
        return centre_box(width, height, size, crop.centre)
    return crop.box(width, height, random)


def to_pillow(image: np.ndarray) -> "Image":
    """Converts uint8[H, W, C] to a Pillow image."""
    from PIL.Image import fromarray

    # Pillow takes grey images only without a channel axis.
    return fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def resize_box(image: "Image", box: Box, size: int) -> np.ndarray:
    """Resizes a box of an image, bilinearly with antialiasing, to uint8[size, size, C]."""
    from PIL.Image import Resampling

    resized = np.asarray(image.resize((size, size), Resampling.BILINEAR, box))
    return resized.reshape(size, size, -1)
