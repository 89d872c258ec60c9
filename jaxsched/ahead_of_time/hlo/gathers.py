"""Gathers of a program; a TPU makes one of bytes value by value or row by row."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from jaxsched.ahead_of_time.hlo.loops import Loop
from jaxsched.ahead_of_time.hlo.shapes import Shape
from jaxsched.ahead_of_time.hlo.source import Stack
from jaxsched.ahead_of_time.hlo.walk import Site


@dataclass(frozen=True)
class Gather:
    """A gather, or the loop of slices into which a compiler has turned one.

    Attributes:
        name: the instruction's name.
        source: the array that slices are taken from.
        output: what they make together.
        slice_sizes: the sizes of a slice.
        times: how often a run of the program runs it; a loop of slices counts as one gather.
        loops: the loops around it, from the outermost.
        is_loop: whether it has become a loop that takes one slice after another.
        op_name: JAX's name of the operation.
        stack: the lines of Python that it stems from, from the innermost.
    """

    name: str
    source: Shape
    output: Shape
    slice_sizes: tuple[int, ...]
    times: int
    loops: tuple[Loop, ...]
    is_loop: bool
    op_name: str
    stack: Stack

    @property
    def slices(self) -> int:
        """The number of slices of one run of it."""
        return self.output.elements // max(1, math.prod(self.slice_sizes))

    @property
    def is_of_rows(self) -> bool:
        """Whether each slice is a whole row of a matrix, as an example of a set in memory is."""
        dimensions = self.source.dimensions
        return len(dimensions) == 2 and self.slice_sizes == (1, dimensions[1])

    @property
    def is_of_bytes(self) -> bool:
        """Whether its values have eight bits or fewer."""
        return 0 < self.source.bits <= 8


def gathers(sites: Iterable[Site]) -> tuple[Gather, ...]:
    """Returns the gathers that a program runs."""
    found = []
    for site in sites:
        opcode = site.instruction.opcode
        if opcode == "gather":
            sizes = site.instruction.numbers("slice_sizes")
            found.append(_gather(site, site.instruction.shapes[0], sizes, site.loops))
        elif opcode == "dynamic-slice" and _is_of_gather(site):
            loop = site.loops[-1]
            sizes = site.instruction.numbers("dynamic_slice_sizes")
            one = site.instruction.shapes[0]
            output = Shape(one.dtype, (loop.trips or 1, *one.dimensions))
            found.append(_gather(site, output, sizes, site.loops[:-1]))
    return tuple(found)


def _is_of_gather(site: Site) -> bool:
    """Returns whether a slice belongs to a loop that was a gather; not one of its indices."""
    return bool(
        site.loops
        and site.loops[-1].op_name.endswith("/gather")
        and 0 < site.instruction.shapes[0].bits <= 8
    )


def _gather(site: Site, output: Shape, sizes: tuple[int, ...], loops: tuple[Loop, ...]) -> Gather:
    is_loop = len(loops) < len(site.loops)
    # A slice inside such a loop has no name of its own.
    origin = site.loops[-1] if is_loop else site.instruction
    return Gather(
        name=origin.name,
        source=site.operand_shapes[0],
        output=output,
        slice_sizes=sizes,
        times=math.prod(loop.trips or 1 for loop in loops),
        loops=loops,
        is_loop=is_loop,
        op_name=origin.op_name,
        stack=origin.stack,
    )
