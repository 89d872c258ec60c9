"""Arrays that a tiled layout makes much larger than their values are."""

from collections.abc import Iterable
from dataclasses import dataclass

from jaxsched.ahead_of_time.hlo.shapes import Shape
from jaxsched.ahead_of_time.hlo.source import Stack
from jaxsched.ahead_of_time.hlo.walk import Site

# Instructions that give no array of their own, but names, parts or other views of arrays.
_VIEWS = (
    "after-all", "bitcast", "conditional", "get-tuple-element", "opt-barrier", "tuple", "while",
)  # fmt: skip


@dataclass(frozen=True)
class PaddedTensor:
    """An array whose layout takes more than its values.

    Attributes:
        name: the name of the instruction that makes it.
        shape: the array, with `bytes`, `padded_bytes` and `padding`, the ratio of the two.
        times: how often a run of the program makes it.
        op_name: JAX's name of the operation, or the argument's name.
        stack: the lines of Python that it stems from, from the innermost.
    """

    name: str
    shape: Shape
    times: int
    op_name: str
    stack: Stack


def padded_tensors(
    sites: Iterable[Site], more_than: float = 4.0, at_least: int = 2**20
) -> tuple[PaddedTensor, ...]:
    """Returns the arrays in memory that are padded much, the largest first.

    Args:
        sites: what the program runs.
        more_than: the ratio of padded to plain bytes from which an array is listed.
        at_least: the padded bytes from which an array is listed; small ones cost nothing.
    """
    found = [
        PaddedTensor(
            site.instruction.name,
            shape,
            site.times,
            site.instruction.op_name,
            # Copies that the compiler adds have no place of their own.
            site.instruction.stack or (site.loops[-1].stack if site.loops else ()),
        )
        for site in sites
        if _is_made(site)
        for shape in site.instruction.shapes
        if shape.padding > more_than and shape.padded_bytes >= at_least
    ]
    return tuple(sorted(found, key=lambda tensor: -tensor.shape.padded_bytes))


def _is_made(site: Site) -> bool:
    """Returns whether an instruction makes an array in memory; arguments count at the entry."""
    opcode = site.instruction.opcode
    if site.is_fused or opcode in _VIEWS or opcode.endswith("-start"):
        return False
    return opcode != "parameter" or (site.scope.call is None and site.scope.loop is None)
