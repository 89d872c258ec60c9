"""A walk through what a program runs: each instruction with the loops around it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from jaxsched.ahead_of_time.hlo.loops import Loop, Scope, trip_count
from jaxsched.ahead_of_time.hlo.parse import Instruction, Program
from jaxsched.ahead_of_time.hlo.shapes import Shape

# Attributes that name computations which run as part of the program. The regions of reductions,
# sorts and scatters are left out: they are single operations on scalars.
_RUN = {
    "fusion": ("calls",),
    "call": ("to_apply",),
    "async-start": ("calls",),
    "conditional": ("branch_computations", "true_computation", "false_computation"),
}


@dataclass(frozen=True)
class Site:
    """An instruction where it runs.

    Attributes:
        instruction: the instruction.
        scope: the computation that it is in, with what that is called with.
        loops: the loops around it, from the outermost.
        is_fused: whether it is inside a fusion, so that its result need not reach memory.
        loop: the loop that it is, if it is one.
    """

    instruction: Instruction
    scope: Scope
    loops: tuple[Loop, ...]
    is_fused: bool
    loop: Loop | None = None

    @property
    def times(self) -> int:
        """How often a run of the program runs it; a loop of unknown length counts as one trip."""
        return math.prod(loop.trips or 1 for loop in self.loops)

    @property
    def operand_shapes(self) -> tuple[Shape, ...]:
        """The arrays that it takes."""
        operands = self.scope.computation.operands(self.instruction)
        return tuple(shape for operand in operands for shape in operand.shapes)


def walk(program: Program) -> Iterator[Site]:
    """Yields each instruction that the program runs, once for each place that calls it.

    All branches of a conditional count as run.
    """
    yield from _walk(program, Scope(program.entry), (), False)


def _walk(
    program: Program, scope: Scope, loops: tuple[Loop, ...], is_fused: bool
) -> Iterator[Site]:
    for instruction in scope.computation.instructions:
        if instruction.opcode == "while":
            trips = trip_count(program, instruction, scope)
            loop = Loop(instruction.name, trips, instruction.op_name, instruction.stack)
            yield Site(instruction, scope, loops, is_fused, loop)
            for name in (*instruction.called("condition"), *instruction.called("body")):
                inside = Scope(program.computations[name], loop=(instruction, scope))
                yield from _walk(program, inside, (*loops, loop), is_fused)
            continue
        yield Site(instruction, scope, loops, is_fused)
        for attribute in _RUN.get(instruction.opcode, ()):
            for name in instruction.called(attribute):
                fused = is_fused or instruction.opcode == "fusion"
                inside = Scope(program.computations[name], call=(instruction, scope))
                yield from _walk(program, inside, loops, fused)
