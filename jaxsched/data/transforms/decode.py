"""Decoding an image file to the square input of a network."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxsched.data.transforms.crop import Box, RandomResizedCrop, choose_box, resize_box

if TYPE_CHECKING:
    from PIL.Image import Image

# A JPEG is decoded at no less than this many times the resolution of the result.
_OVERSAMPLING = 2


def read_square(
    path: Path, size: int, crop: RandomResizedCrop | None, random: np.random.Generator | None
) -> np.ndarray:
    """Reads and decodes an image file, and resizes the box that `choose_box` chooses.

    The image is turned upright by its EXIF tag and converted to RGB: a grey image gets three equal
    channels, 16 bits are cut to 8 and transparency is dropped.

    If the box has more than twice the resolution of the result, a JPEG is decoded at ½, ¼ or ⅛ of
    its size, but at no less than twice the resolution of the result. This is faster, and the
    decoder averages pixels, as resizing does.

    Args:
        path: the file.
        size: the side of the square, in pixels.
        crop: the random crop for training, or None.
        random: the example's generator; None in evaluation.

    Returns:
        uint8[size, size, 3].

    Raises:
        ValueError: when the file cannot be read; names it.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return _square(image, size, crop, random)
    except Exception as error:  # Pillow's decoders raise many types: SyntaxError, struct.error, …
        raise ValueError(
            f"{path} cannot be read as an image ({error}). It is damaged or of another kind: copy "
            "it again or remove it."
        ) from error


def _square(
    image: "Image", size: int, crop: RandomResizedCrop | None, random: np.random.Generator | None
) -> np.ndarray:
    """The square of an image that is opened, but not yet decoded."""
    from PIL.ImageOps import exif_transpose

    width, height = _upright_size(image)
    box = choose_box(width, height, size, crop, random)
    factor = _set_jpeg_scale(image, box, size)
    exif_transpose(image, in_place=True)
    left, top, right, bottom = (side / factor for side in box)
    return resize_box(_to_rgb(image), (left, top, right, bottom), size)


def _upright_size(image: "Image") -> tuple[int, int]:
    """The width and height of the image after it is turned upright."""
    from PIL.ExifTags import Base

    # The orientations that include a quarter turn.
    turned = image.getexif().get(Base.Orientation, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else (image.width, image.height)


def _set_jpeg_scale(image: "Image", box: Box, size: int) -> float:
    """Makes a JPEG decode at a fraction of its size if that is fine enough.

    Returns the factor by which it is smaller, 1 for other formats.
    """
    left, top, right, bottom = box
    most = max(1.0, min(right - left, bottom - top) / (_OVERSAMPLING * size))
    wide, high = image.size
    # Other formats have no draft mode and return None.
    drafted = image.draft(None, (math.ceil(wide / most), math.ceil(high / most)))
    return wide / drafted[1][2] if drafted else 1.0


def _to_rgb(image: "Image") -> "Image":
    """Converts to RGB with 8 bits a channel."""
    from PIL.Image import fromarray

    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip to 8 instead of scaling
        image = fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
