"""Arrays of a program: dtype, dimensions, and how memory is tiled, which decides what is padded."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# Bits of the dtypes whose names do not end in them.
_BITS = {"pred": 8, "token": 0, "opaque": 0}
_ARRAY = re.compile(r"([a-z][a-z0-9]*)\[([^\]]*)\](?:\{([^}]*)\})?")


@dataclass(frozen=True)
class Shape:
    """An array's dtype, dimensions and layout.

    Attributes:
        dtype: XLA's name, such as `bf16`, `u8` or `pred`.
        dimensions: the logical sizes.
        minor_to_major: the dimensions' indices from the one that varies fastest in memory.
        tiles: the tilings of memory, from the outermost; -1 stands for `*`, which merges a
            dimension with the next faster one.
        memory_space: 0 for the main memory; a TPU's vector memory is 1.

    Example:
        >>> from jaxsched.ahead_of_time.hlo.shapes import shapes_in
        >>> images = shapes_in("u8[128,32,32,3]{3,2,1,0:T(8,128)(4,1)}")[0]
        >>> images.bytes, images.padded_bytes, images.padding
        (393216, 16777216, 42.666666666666664)
    """

    dtype: str
    dimensions: tuple[int, ...]
    minor_to_major: tuple[int, ...] = ()
    tiles: tuple[tuple[int, ...], ...] = ()
    memory_space: int = 0

    def __str__(self) -> str:
        """Returns the shape as XLA writes it, such as `u8[128,32,32,3]`."""
        return f"{self.dtype}[{','.join(map(str, self.dimensions))}]"

    @property
    def elements(self) -> int:
        """The number of values."""
        return math.prod(self.dimensions)

    @property
    def bits(self) -> int:
        """The bits of a value."""
        return dtype_bits(self.dtype)

    @property
    def bytes(self) -> int:
        """The bytes of the values alone."""
        return math.ceil(self.elements * self.bits / 8)

    @property
    def padded_bytes(self) -> int:
        """The bytes that the tiled layout takes in memory."""
        order = self.minor_to_major or tuple(reversed(range(len(self.dimensions))))
        sizes = [self.dimensions[index] for index in reversed(order)]
        for tile in self.tiles:
            sizes = _tiled(sizes, tile)
        return math.ceil(math.prod(sizes) * self.bits / 8)

    @property
    def padding(self) -> float:
        """How many times larger the array is in memory than its values; 1 for an empty one."""
        return self.padded_bytes / self.bytes if self.bytes else 1.0


def _tiled(sizes: Sequence[int], tile: Sequence[int]) -> list[int]:
    """Returns the sizes, from the slowest, of an array cut into tiles of its fastest dimensions."""
    sizes = [1] * (len(tile) - len(sizes)) + list(sizes)
    outer, inner = sizes[: len(sizes) - len(tile)], sizes[len(sizes) - len(tile) :]
    merged, kept, carried = [], [], 1
    for size, length in zip(inner, tile, strict=True):
        if length < 0:
            carried *= size
            continue
        merged.append(size * carried)
        kept.append(length)
        carried = 1
    counts = [-(-size // length) for size, length in zip(merged, kept, strict=True)]
    return [*outer, *counts, *kept]


def dtype_bits(dtype: str) -> int:
    """Returns the bits of a value; those of `f8e4m3fn` and its like are the first number.

    Example:
        >>> from jaxsched.ahead_of_time.hlo.shapes import dtype_bits
        >>> [dtype_bits(dtype) for dtype in ("bf16", "u8", "pred", "f8e4m3fn", "c64", "token")]
        [16, 8, 8, 8, 64, 0]
    """
    if dtype in _BITS:
        return _BITS[dtype]
    digits = re.search(r"\d+", dtype)
    return int(digits.group()) if digits else 0


@lru_cache(maxsize=4096)
def shapes_in(text: str) -> tuple[Shape, ...]:
    """Returns the arrays that a type names, in their order; a tuple's are flattened.

    Args:
        text: such as `(f32[3]{0}, bf16[8,128]{1,0:T(8,128)(2,1)S(1)})`.
    """
    return tuple(_shape(*found.groups()) for found in _ARRAY.finditer(text))


def _shape(dtype: str, dimensions: str, layout: str | None) -> Shape:
    order, _, memory = (layout or "").partition(":")
    tiling = re.search(r"T((?:\([^)]*\))+)", memory)
    space = re.search(r"S\((\d+)\)", memory)
    return Shape(
        dtype,
        # A bound of a dynamic dimension is written <=4.
        tuple(int(size.lstrip("<=")) for size in dimensions.split(",") if size),
        tuple(int(index) for index in order.split(",") if index),
        tuple(
            tuple(-1 if size == "*" else int(size) for size in tile.split(","))
            for tile in re.findall(r"\(([^)]*)\)", tiling.group(1) if tiling else "")
        ),
        int(space.group(1)) if space else 0,
    )
