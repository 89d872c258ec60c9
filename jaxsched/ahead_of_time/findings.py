"""Costly habits of a compiled program, in plain words: the place in the code and the cure."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from jaxsched.ahead_of_time.hlo.collectives import Collective
from jaxsched.ahead_of_time.hlo.facts import ProgramFacts
from jaxsched.ahead_of_time.hlo.flops import Product
from jaxsched.ahead_of_time.hlo.gathers import Gather
from jaxsched.ahead_of_time.hlo.padding import PaddedTensor
from jaxsched.ahead_of_time.hlo.source import Stack

Kind: TypeAlias = Literal[
    "byte gather", "padded", "reduction in a loop", "not donated", "float32 product"
]

_PACKAGE = Path(__file__).parents[1]
_REDUCTIONS = ("all-reduce", "reduce-scatter")
# What is less costs nothing: bytes that are not donated, and the share of operations in float32.
_FEW_BYTES = 2**16
_FEW_OPERATIONS = 0.01
# Whole rows of 3,072 bytes cost next to nothing, and rows of 150,528 bytes cost 0.14 ms each, see
# experiments/performance/compiled.md.
_SHORT_ROW = 2**15


@dataclass(frozen=True)
class Finding:
    """A costly habit of a program at one place.

    Attributes:
        kind: which habit.
        sentence: what the program does, in plain words.
        count: how many operations or arrays do it, in one run of the program.
        bytes: the bytes that they move or take, in one run of the program; None where the cost is
            in operations.
        place: the line of Python that it stems from, or the argument; empty if it is not known.
        cure: what to change.
    """

    kind: Kind
    sentence: str
    count: int
    bytes: int | None
    place: str
    cure: str

    def __str__(self) -> str:
        """Returns place, sentence and cure, as a line of a terminal."""
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.sentence} {self.cure}"


def findings(facts: ProgramFacts, update_loops: int = 1) -> tuple[Finding, ...]:
    """Returns the costly habits of a program, those of one place and kind together.

    What costs nothing is left out: small padded arrays, less than 64 KiB that is not donated,
    products in float32 that make less than 1 % of a network in half precision, and gathers of short
    rows, such as CIFAR-10's images.

    Gathers of bytes are slow on TPUs and GPUs; to a CPU they are cheap, so its program's findings
    of that kind mean nothing.

    Args:
        facts: of the program.
        update_loops: how many of the outermost loops repeat whole updates. Reductions in a loop
            inside them run for each micro-batch.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.ahead_of_time.findings import findings
        >>> from jaxsched.ahead_of_time.hlo.facts import read_program
        >>> compiled = jax.jit(lambda state: state + 1).lower(jnp.zeros((256, 256))).compile()
        >>> print(findings(read_program(compiled.as_text()))[0].sentence)
        1 argument of 262,144 bytes, such as state, comes back changed but in new memory.
    """
    reductions = [
        collective
        for collective in facts.collectives
        if collective.kind in _REDUCTIONS and _trips(collective, update_loops) > 1
    ]
    return (
        *_by_place(
            (gather for gather in facts.byte_gathers if not _is_of_short_rows(gather)),
            _byte_gathers,
            lambda gather: str(gather.source),
        ),
        *_by_place(facts.padded, _padded, lambda tensor: str(tensor.shape)),
        *_by_place(
            reductions,
            lambda found, place: _reductions(found, place, update_loops),
            lambda found: (found.kind, found.dtype, _trips(found, update_loops)),
        ),
        *_not_donated(facts),
        *_by_place(
            _costly_products(facts),
            lambda found, place: _float32(found, place, facts.flops),
            lambda product: product.is_convolution,
        ),
    )


def place_of(stack: Stack) -> str:
    """Returns the innermost line of Python that is ours or the user's, not an installed package's.

    Args:
        stack: the lines that were running, from the innermost.

    Returns:
        A file and a line, such as `jaxsched/data/dataset.py:12`; empty for an empty stack.
    """
    ours = [
        frame
        for frame in stack
        if Path(frame.file).is_relative_to(_PACKAGE) or "site-packages" not in frame.file
    ]
    if not stack:
        return ""
    frame = (ours or stack)[0]
    path = Path(frame.file)
    if path.is_relative_to(_PACKAGE):
        path = path.relative_to(_PACKAGE.parent)
    return f"{path}:{frame.line}"


def _by_place(
    found: Iterable[Any],
    describe: Callable[[Sequence[Any], str], Finding],
    alike: Callable[[Any], Hashable],
) -> list[Finding]:
    """Returns a finding for each place and each class of things that are alike."""
    groups: dict[Hashable, list[Any]] = {}
    for item in found:
        groups.setdefault((place_of(item.stack), alike(item)), []).append(item)
    return [describe(group, place_of(group[0].stack)) for group in groups.values()]


def _is_of_short_rows(gather: Gather) -> bool:
    return gather.is_of_rows and math.prod(gather.slice_sizes) < _SHORT_ROW


def _byte_gathers(found: Sequence[Gather], place: str) -> Finding:
    first = found[0]
    slices = sum(gather.slices * gather.times for gather in found)
    size = math.prod(first.slice_sizes)
    return Finding(
        kind="byte gather",
        sentence=(
            f"{_number(slices, 'slice')} of {_number(size, 'byte')} each "
            f"{'are' if slices > 1 else 'is'} gathered from {first.source}."
        ),
        count=slices,
        bytes=sum(gather.output.bytes * gather.times for gather in found),
        place=place,
        cure=(
            "Stream the data: rows as long as these are gathered slowly."
            if first.is_of_rows
            else "Choose among whole shifted or flipped images with jnp.where, or keep the images "
            "as flat rows and gather whole rows."
        ),
    )


def _padded(found: Sequence[PaddedTensor], place: str) -> Finding:
    shape = max((tensor.shape for tensor in found), key=lambda shape: shape.padded_bytes)
    count = sum(tensor.times for tensor in found)
    return Finding(
        kind="padded",
        sentence=(
            f"{shape} takes {_number(shape.padded_bytes, 'byte')} in memory, {shape.padding:.1f} "
            f"times its values; it is made {_number(count, 'time')}."
        ),
        count=count,
        bytes=sum(tensor.shape.padded_bytes * tensor.times for tensor in found),
        place=place or found[0].op_name,
        cure="Keep it flat, or with a dimension of 128 or more last, until it is needed.",
    )


def _trips(collective: Collective, update_loops: int) -> int:
    """Returns how often an exchange runs for each update."""
    return math.prod(loop.trips or 1 for loop in collective.loops[update_loops:])


def _reductions(found: Sequence[Collective], place: str, update_loops: int) -> Finding:
    first = found[0]
    each = sum(collective.bytes for collective in found)
    return Finding(
        kind="reduction in a loop",
        sentence=(
            f"{_number(len(found), first.kind)} of {first.dtype}, {_number(each, 'byte')}, "
            f"{'run' if len(found) > 1 else 'runs'} for each of "
            f"{_trips(first, update_loops)} micro-batches."
        ),
        count=sum(collective.times for collective in found),
        bytes=sum(collective.total_bytes for collective in found),
        place=place,
        cure=(
            "Add up inside the loop and reduce once behind it; batch norm in ghost groups inside "
            "a chip needs no reduction."
        ),
    )


def _not_donated(facts: ProgramFacts) -> list[Finding]:
    found = facts.undonated
    total = sum(parameter.shape.bytes for parameter in found)
    if total < _FEW_BYTES:
        return []
    name = next((parameter.name for parameter in found if parameter.name), "")
    example = f", such as {name}," if name else ""
    return [
        Finding(
            kind="not donated",
            sentence=(
                f"{_number(len(found), 'argument')} of {_number(total, 'byte')}{example} "
                f"{'come' if len(found) > 1 else 'comes'} back changed but in new memory."
            ),
            count=len(found),
            bytes=total,
            place=name,
            cure="Donate the state: donate_argnums where it is jitted.",
        )
    ]


def _costly_products(facts: ProgramFacts) -> tuple[Product, ...]:
    found = facts.full_precision_products
    total = sum(product.total_flops for product in found)
    return found if total >= _FEW_OPERATIONS * facts.flops else ()


def _float32(found: Sequence[Product], place: str, flops: int) -> Finding:
    total = sum(product.total_flops for product in found)
    word = "convolution" if found[0].is_convolution else "matrix product"
    return Finding(
        kind="float32 product",
        sentence=(
            f"{_number(len(found), word)} in {found[0].dtype} "
            f"{'make' if len(found) > 1 else 'makes'} {total / flops:.1%} of the operations of a "
            f"network in half precision."
        ),
        count=sum(product.times for product in found),
        bytes=None,
        place=place,
        cure="Cast both operands to bfloat16.",
    )


def _number(count: int, word: str) -> str:
    """Returns a number with its word, in the plural where there are more."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
