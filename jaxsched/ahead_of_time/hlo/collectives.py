"""Exchanges between chips: all-reduces and their like."""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxsched.ahead_of_time.hlo.loops import Loop
from jaxsched.ahead_of_time.hlo.shapes import Shape
from jaxsched.ahead_of_time.hlo.source import Stack
from jaxsched.ahead_of_time.hlo.walk import Site

_KINDS = (
    "all-gather", "all-reduce", "all-to-all", "collective-broadcast", "collective-permute",
    "ragged-all-to-all", "reduce-scatter",
)  # fmt: skip


@dataclass(frozen=True)
class Collective:
    """The arrays of one dtype that one exchange takes.

    Attributes:
        name: the instruction's name.
        kind: such as `all-reduce`.
        dtype: of the arrays.
        tensors: how many arrays it exchanges together.
        bytes: of the arrays of one chip; of the whole ones, where it gathers or scatters them.
        is_asynchronous: whether other work may run between its start and its end.
        times: how often a run of the program runs it.
        loops: the loops around it, from the outermost.
        op_name: JAX's name of the operation.
        stack: the lines of Python that it stems from, from the innermost.
    """

    name: str
    kind: str
    dtype: str
    tensors: int
    bytes: int
    is_asynchronous: bool
    times: int
    loops: tuple[Loop, ...]
    op_name: str
    stack: Stack

    @property
    def total_bytes(self) -> int:
        """The bytes of all its runs."""
        return self.bytes * self.times


def collectives(sites: Iterable[Site]) -> tuple[Collective, ...]:
    """Returns the exchanges that a program runs, one for each dtype of an exchange."""
    return tuple(
        _collective(site, kind, dtype)
        for site in sites
        if (kind := site.instruction.opcode.removesuffix("-start")) in _KINDS
        for dtype in sorted({shape.dtype for shape in site.operand_shapes})
    )


def _collective(site: Site, kind: str, dtype: str) -> Collective:
    instruction = site.instruction
    taken = [shape for shape in site.operand_shapes if shape.dtype == dtype]
    starts = instruction.opcode.endswith("-start")
    given = [shape for shape in instruction.shapes if shape.dtype == dtype]
    if starts and kind != "all-reduce":
        # The start of a gathering gives what it takes, what will be there, and its own counters.
        given = given[len(taken) : 2 * len(taken)]
    return Collective(
        name=instruction.name,
        kind=kind,
        dtype=dtype,
        tensors=len(taken),
        bytes=max(_bytes(taken), _bytes(given)),
        is_asynchronous=starts or _is_in_async_call(site),
        times=site.times,
        loops=site.loops,
        op_name=instruction.op_name,
        stack=instruction.stack,
    )


def _is_in_async_call(site: Site) -> bool:
    call = site.scope.call
    return call is not None and call[0].opcode == "async-start"


def _bytes(shapes: Iterable[Shape]) -> int:
    return sum(shape.bytes for shape in shapes)
