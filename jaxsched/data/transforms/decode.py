"""From an image file of any kind to the square that a network sees."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsched.data.transforms.crop import Box, RandomResizedCrop, choose_box, resize_box

if TYPE_CHECKING:
    from PIL.Image import Image

# How many times finer than the result a JPEG is decoded at least, before it is resized.
_FINENESS = 2


def read_square(
    path: Path, size: int, crop: RandomResizedCrop | None, random: np.random.Generator | None
) -> np.ndarray:
    """Reads and decodes an image file, and resizes what `choose_box` chooses of it.

    The picture is upright, as its EXIF tag says, and in colour: grey ones have three equal
    channels, 16 bits are cut to 8 and transparency is dropped.

    Where a box is more than twice as fine as the result, a JPEG is decoded at ½, ¼ or ⅛ of its
    size, yet never less than twice as fine: its decoder then averages pixels, as resizing does.

    Args:
        path: of the file.
        size: of the square, in pixels.
        crop: what is seen in training.
        random: for the crop; None in evaluation.

    Returns:
        uint8[size, size, 3].

    Raises:
        ValueError: when it cannot be read; names the file.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return _square(picture, size, crop, random)
    except Exception as error:  # Pillow's decoders raise whatever they like.
        raise ValueError(
            f"{path} cannot be read as an image ({error}). It is damaged or of another kind: copy "
            "it again or remove it."
        ) from error


def _square(
    picture: "Image", size: int, crop: RandomResizedCrop | None, random: np.random.Generator | None
) -> np.ndarray:
    """The part that is seen of an opened picture, not yet decoded."""
    from PIL.ImageOps import exif_transpose

    width, height = _upright_size(picture)
    box = choose_box(width, height, size, crop, random)
    factor = _decode_smaller(picture, box, size)
    exif_transpose(picture, in_place=True)
    left, top, right, bottom = (side / factor for side in box)
    return resize_box(_colour(picture), (left, top, right, bottom), size)


def _upright_size(picture: "Image") -> tuple[int, int]:
    """Width and height once it is upright."""
    from PIL.ExifTags import Base

    lies = picture.getexif().get(Base.Orientation, 1) in (5, 6, 7, 8)
    return (picture.height, picture.width) if lies else (picture.width, picture.height)


def _decode_smaller(picture: "Image", box: Box, size: int) -> float:
    """Has a JPEG decoded at a part of its size, where that is fine enough; by which factor."""
    left, top, right, bottom = box
    most = max(1.0, min(right - left, bottom - top) / (_FINENESS * size))
    wide, high = picture.size
    # Another format knows no such thing, and says None.
    drafted = picture.draft(None, (math.ceil(wide / most), math.ceil(high / most)))
    return wide / drafted[1][2] if drafted else 1.0


def _colour(picture: "Image") -> "Image":
    """In RGB, 8 bits a channel."""
    from PIL.Image import fromarray

    if picture.mode.startswith("I"):  # 16 bits, which convert would clip
        picture = fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("RGB")
