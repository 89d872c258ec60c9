"""Decoding an image file to the square input of a network."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from jaxsched.data.transforms.crop import Box, RandomResizedCrop, choose_box, resize_box

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's names of grey, colour, and colour with transparency, of 8 bits each.
Mode: TypeAlias = Literal["L", "RGB", "RGBA"]

# A JPEG is decoded at no less than this many times the resolution of the result.
_OVERSAMPLING = 2
# What turns an image of each EXIF orientation upright, by its name in PIL.Image.Transpose.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_QUARTER_TURNS = (5, 6, 7, 8)
# Tags of TIFF.
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262


def read_square(
    path: Path, size: int, crop: RandomResizedCrop | None, random: np.random.Generator | None
) -> np.ndarray:
    """Reads and decodes an image file, and resizes the box that `choose_box` chooses.

    The image is turned upright by its EXIF tag and converted to RGB: a grey image gets three equal
    channels, 16 or 12 bits are scaled to 8 and transparency is dropped.

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
    except (MemoryError, UnknownRangeError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not read: {_advice(error)}") from error
    except Exception as error:  # Pillow's decoders raise many types: SyntaxError, struct.error, …
        if isinstance(error, OSError) and error.errno is not None:  # not of Pillow, of the system
            raise ValueError(
                f"{path} cannot be opened ({error.strerror}): copy it again, allow this user to "
                "read it, or remove it."
            ) from error
        raise ValueError(
            f"{path} cannot be read as an image ({error}). It is damaged or of another kind: copy "
            "it again or remove it."
        ) from error


class UnknownRangeError(ValueError):
    """Raised for samples whose darkest and brightest values no format fixes."""


def _advice(error: Exception) -> str:
    """Returns the remedy for an image that is whole but not read."""
    if isinstance(error, MemoryError):
        return "the memory is full; use fewer --read-workers or make the image smaller."
    if isinstance(error, UnknownRangeError):
        return str(error)
    return f"{error} If you trust it, set PIL.Image.MAX_IMAGE_PIXELS = None, or make it smaller."


def _square(
    image: "Image", size: int, crop: RandomResizedCrop | None, random: np.random.Generator | None
) -> np.ndarray:
    """The square of an image that is opened, but not yet decoded."""
    from PIL.ExifTags import Base
    from PIL.Image import Transpose
    from PIL.JpegImagePlugin import JpegImageFile

    if not isinstance(image, JpegImageFile):
        image.load()  # Pillow turns the images of some formats upright as it decodes them
    orientation = image.getexif().get(Base.Orientation, 1)
    width, height = reversed(image.size) if orientation in _QUARTER_TURNS else image.size
    left, top, right, bottom = box = choose_box(width, height, size, crop, random)
    scale = _set_jpeg_scale(image, box, size)
    image = convert(image, "RGB")
    # ImageOps.exif_transpose would also write the other tags anew, and fail at a malformed one.
    if orientation in _TURNS:
        image = image.transpose(Transpose[_TURNS[orientation]])
    return resize_box(image, (left / scale, top / scale, right / scale, bottom / scale), size)


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


def convert(image: "Image", mode: Mode) -> "Image":
    """Converts a decoded image of any mode to 8 bits a channel; 16 or 12 bits are scaled.

    Args:
        image: an image that Pillow has decoded from a file.
        mode: the mode to convert to, by Pillow's name.

    Raises:
        UnknownRangeError: when its samples are floats or integers of 32 bits.

    Example:
        >>> import io
        >>> import numpy as np
        >>> from PIL import Image
        >>> from jaxsched.data.transforms.decode import convert
        >>> file = io.BytesIO()
        >>> Image.fromarray(np.array([[0, 65535]], np.uint16)).save(file, "PNG")
        >>> np.asarray(convert(Image.open(file), "L"))
        array([[  0, 255]], dtype=uint8)
    """
    if mode != "RGBA":
        # It would be dropped anyway, by `convert` with a warning.
        image.info.pop("transparency", None)
    return _to_8_bits(image).convert(mode)


def _to_8_bits(image: "Image") -> "Image":
    """Scales the samples of an image that has more than 8 bits a channel."""
    from PIL.Image import fromarray

    if not image.mode.startswith(("I", "F")):
        return image
    bits = _sample_bits(image)
    # Pillow inverts white-is-zero only up to 8 bits.
    inverted = image.format == "TIFF" and image.tag_v2[_PHOTOMETRIC] == 0  # pyright: ignore
    samples = np.asarray(image)
    return fromarray(((samples >> (bits - 8)) ^ (255 * inverted)).astype(np.uint8))


def _sample_bits(image: "Image") -> int:
    """The bits of each sample of an image with more than 8: 16, or 12 in some TIFFs."""
    if image.mode.startswith("I;16"):
        return image.tag_v2[_BITS_PER_SAMPLE][0] if image.format == "TIFF" else 16  # pyright: ignore
    if image.mode == "I" and image.format in ("PNG", "PPM"):
        return 16  # in 32, of which the format fills 16
    raise UnknownRangeError(
        f"its samples are {'floats' if image.mode == 'F' else 'signed or 32-bit integers'}, and "
        "which value is white is not known; save it with 8 or 16 bits a sample."
    )
