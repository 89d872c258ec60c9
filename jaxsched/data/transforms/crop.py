"""Which part of a picture becomes the square that a network sees."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# Left, top, right, bottom, in pixels of the picture.
Box: TypeAlias = tuple[float, float, float, float]

_TRIES = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of a training picture, resized to a square; evaluations see the centre.

    Formula:
        area = u · width · height,  u ~ U(area);   ln r ~ U(ln ratio)
        w = round √(area · r),  h = round √(area / r),  anywhere inside, all places alike

    What does not fit inside is drawn anew, ten times at most; after that it is the largest part in
    the middle whose ratio is allowed.

    Attributes:
        area: the least and the greatest share of the picture's area.
        ratio: the least and the greatest width / height.
        centre: in evaluation, the share of the picture's shorter side that the square shows. 0.875
            is a picture resized to 256 and cropped to 224.

    Raises:
        ValueError: when the shares are outside (0, 1], a ratio is not above 0 or a pair is not in
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
        if not 0 < self.centre <= 1:
            raise ValueError(
                f"RandomResizedCrop needs centre within (0, 1], got centre={self.centre}."
            )

    def box(self, width: int, height: int, random: np.random.Generator) -> Box:
        """A random box in a picture of this size, in whole pixels."""
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
    """The box that is left when the shorter side is resized to size / share and the rest cut off.

    Args:
        width: of the picture, in pixels.
        height: likewise.
        size: of the square that the box will become, in pixels.
        share: of the shorter side, in (0, 1].

    Example:
        >>> from jaxsched.data.transforms.crop import centre_box
        >>> centre_box(400, 200, size=100)
        (100.0, 0.0, 300.0, 200.0)
    """
    # As if the whole were resized to whole pixels and a whole number of them cut off each side.
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
    """What of a picture is seen: `crop`'s box in training, the centre in evaluation and without."""
    if crop is None:
        return centre_box(width, height, size)
    if random is None:
        return centre_box(width, height, size, crop.centre)
    return crop.box(width, height, random)


def resize_box(picture: "Image", box: Box, size: int) -> np.ndarray:
    """A box of the picture, bilinear with antialiasing, as uint8[size, size, C]."""
    from PIL.Image import Resampling

    resized = np.asarray(picture.resize((size, size), Resampling.BILINEAR, box))
    return resized.reshape(size, size, -1)
