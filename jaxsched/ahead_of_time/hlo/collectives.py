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
    """Returns the exchanges that a program runs, one for each dtype of an exchange.

    A TPU's compiler writes an exchange that overlaps with other work several times: in its start,
    in the fusions that run meanwhile, and in its end. They share a channel and count once.
    """
    groups: dict[object, list[Site]] = {}
    for site in sites:
        if _kind(site) in _KINDS:
            groups.setdefault(_exchange(site), []).append(site)
    return tuple(
        _collective(group[0], dtype, is_asynchronous=len(group) > 1 or _is_started(group[0]))
        for group in _joined(groups)
        for dtype in sorted({shape.dtype for shape in group[0].operand_shapes})
    )


def _kind(site: Site) -> str:
    # Inside a fusion of this name the TPU's compiler writes a reduce-scatter as an all-reduce.
    is_scatter = site.scope.computation.name.startswith("all-reduce-scatter")
    if is_scatter and site.instruction.opcode == "all-reduce":
        return "reduce-scatter"
    return site.instruction.opcode.removesuffix("-start")


def _exchange(site: Site) -> object:
    """Returns a key that the sites of one exchange share: the channel and the loops around it."""
    channel = site.instruction.attribute("channel_id")
    return (channel, site.loops) if channel else site


def _joined(groups: dict[object, list[Site]]) -> list[list[Site]]:
    """Returns the sites of each exchange; without a fusion, each site is an exchange of its own."""
    joined = []
    for group in groups.values():
        overlaps = any(site.is_fused for site in group)
        joined += [group] if overlaps else [[site] for site in group]
    return joined


def _is_started(site: Site) -> bool:
    """Returns whether an exchange is only started here, and ends further down."""
    call = site.scope.call
    return site.instruction.opcode.endswith("-start") or (
        call is not None and call[0].opcode == "async-start"
    )


def _collective(site: Site, dtype: str, is_asynchronous: bool) -> Collective:
    instruction = site.instruction
    taken = [shape for shape in site.operand_shapes if shape.dtype == dtype]
    given = [shape for shape in instruction.shapes if shape.dtype == dtype]
    if instruction.opcode.endswith("-start"):
        # A start gives what it takes, then what will be there, and some counters of its own.
        given = given[len(taken) : 2 * len(taken)]
    return Collective(
        name=instruction.name,
        kind=_kind(site),
        dtype=dtype,
        tensors=len(taken),
        bytes=max(_bytes(taken), _bytes(given)),
        is_asynchronous=is_asynchronous,
        times=site.times,
        loops=site.loops,
        op_name=instruction.op_name,
        stack=instruction.stack,
    )


def _bytes(shapes: Iterable[Shape]) -> int:
    return sum(shape.bytes for shape in shapes)
