"""How often a loop runs: what the compiler says, else worked out from its counter.

The CPU's and the GPU's compiler write `known_trip_count`. The TPU's does not, so the counter's
first value, its step and its bound are followed to constants.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from jaxsched.ahead_of_time.hlo.parse import Computation, Instruction, Program
from jaxsched.ahead_of_time.hlo.source import Stack


@dataclass(frozen=True)
class Loop:
    """A loop of a program.

    Attributes:
        name: the instruction's name.
        trips: how often it runs; None if that depends on the data or cannot be told.
        op_name: JAX's name of it, such as `jit(step)/while`.
        stack: the lines of Python that it stems from, from the innermost.
    """

    name: str
    trips: int | None
    op_name: str = ""
    stack: Stack = ()


class Scope(NamedTuple):
    """A computation with what calls it: a fusion or call, or the loop of which it is a part."""

    computation: Computation
    call: "tuple[Instruction, Scope] | None" = None
    loop: "tuple[Instruction, Scope] | None" = None


class _Value(NamedTuple):
    """A number: a constant, or an element of a loop's carry plus a constant."""

    carried: tuple[str, int] | None  # the loop's name and the element's index
    offset: int


_SAME_VALUE = ("copy", "bitcast", "convert", "reshape", "copy-start", "copy-done")


def trip_count(program: Program, loop: Instruction, scope: Scope) -> int | None:
    """Returns how often a loop runs, or None where that is not a constant.

    Args:
        program: the program.
        loop: the `while` instruction.
        scope: the computation in which it stands.
    """
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.backend_config)
    if known:
        return int(known[1])
    condition = Scope(program.computations[loop.called("condition")[0]], loop=(loop, scope))
    body = Scope(program.computations[loop.called("body")[0]], loop=(loop, scope))
    compare, inside = _source(program, condition.computation.root, condition)
    if compare.opcode != "compare":
        return None
    left, right = (
        _value(program, operand, inside) for operand in inside.computation.operands(compare)
    )
    direction = compare.attribute("direction") or ""
    if left is None or right is None:
        return None
    if left.carried is None:
        left, right, direction = right, left, direction.translate(str.maketrans("LG", "GL"))
    if left.carried is None or right.carried is not None:
        return None
    first = _carried_in(program, loop, scope, left.carried[1])
    step = _value(program, *_element(program, body, left.carried[1]))
    if first is None or first.carried is not None or step is None or step.carried != left.carried:
        return None
    return _count(first.offset + left.offset, step.offset, right.offset, direction)


def _count(first: int, step: int, bound: int, direction: str) -> int | None:
    """Returns how many of first, first + step, first + 2 step, … pass before one fails."""
    if direction in ("LE", "GE"):
        bound += 1 if direction == "LE" else -1
    if direction in ("LT", "LE") and step > 0:
        return max(0, -((first - bound) // step))
    if direction in ("GT", "GE") and step < 0:
        return max(0, -((bound - first) // -step))
    if direction == "NE" and step and (bound - first) % step == 0 and (bound - first) // step >= 0:
        return (bound - first) // step
    return None


def _element(program: Program, body: Scope, index: int) -> tuple[Instruction, Scope]:
    """Returns the instruction that gives an element of a computation's resulting tuple."""
    root, scope = _source(program, body.computation.root, body)
    if root.opcode != "tuple":
        return root, scope
    return scope.computation.operands(root)[index], scope


def _carried_in(program: Program, loop: Instruction, scope: Scope, index: int) -> _Value | None:
    """Returns the value with which an element of a loop's carry starts."""
    start, outer = _source(program, scope.computation.operands(loop)[0], scope)
    if start.opcode != "tuple":
        return None
    return _value(program, outer.computation.operands(start)[index], outer)


def _value(program: Program, instruction: Instruction, scope: Scope) -> _Value | None:
    """Returns the number that an instruction gives, if it is simple enough to follow."""
    instruction, scope = _source(program, instruction, scope)
    operands = scope.computation.operands(instruction)
    if instruction.opcode == "constant":
        return _Value(None, int(instruction.literal)) if _is_integer(instruction.literal) else None
    if instruction.opcode in ("add", "subtract"):
        left, right = (_value(program, operand, scope) for operand in operands)
        sign = 1 if instruction.opcode == "add" else -1
        if left is None or right is None:
            return None
        if right.carried is None:
            return _Value(left.carried, left.offset + sign * right.offset)
        if left.carried is None and sign > 0:
            return _Value(right.carried, left.offset + right.offset)
        return None
    is_element = instruction.opcode == "get-tuple-element"
    if is_element and scope.loop and operands[0].opcode == "parameter":
        return _Value((scope.loop[0].name, int(instruction.attribute("index") or 0)), 0)
    return None


def _is_integer(literal: str) -> bool:
    return re.fullmatch(r"-?\d+", literal) is not None


def _source(program: Program, instruction: Instruction, scope: Scope) -> tuple[Instruction, Scope]:
    """Returns the instruction that a value comes from, through copies, fusions and tuples.

    An element that a loop hands on unchanged comes from outside the loop.
    """
    while True:
        operands = scope.computation.operands(instruction)
        if instruction.opcode in _SAME_VALUE:
            instruction = operands[0]
        elif instruction.opcode in ("fusion", "call"):
            name = (*instruction.called("calls"), *instruction.called("to_apply"))[0]
            scope = Scope(program.computations[name], call=(instruction, scope))
            instruction = scope.computation.root
        elif instruction.opcode == "parameter" and scope.call:
            caller, outer = scope.call
            instruction = outer.computation.operands(caller)[int(instruction.literal)]
            scope = outer
        elif instruction.opcode == "get-tuple-element":
            index = int(instruction.attribute("index") or 0)
            origin, inside = _source(program, operands[0], scope)
            if origin.opcode == "tuple":
                instruction, scope = inside.computation.operands(origin)[index], inside
            elif (
                origin.opcode == "parameter"
                and inside.loop
                and _is_handed_on(program, inside.loop[0], index)
            ):
                loop, outer = inside.loop
                start, outer = _source(program, outer.computation.operands(loop)[0], outer)
                if start.opcode != "tuple":
                    return instruction, scope
                instruction, scope = outer.computation.operands(start)[index], outer
            else:
                return instruction, scope
        else:
            return instruction, scope


def _is_handed_on(program: Program, loop: Instruction, index: int) -> bool:
    """Returns whether a loop's body gives an element of the carry back as it was."""
    body = program.computations[loop.called("body")[0]]
    if body.root.opcode != "tuple":
        return False
    element = body.operands(body.root)[index]
    return (
        element.opcode == "get-tuple-element"
        and body.operands(element)[0].opcode == "parameter"
        and int(element.attribute("index") or 0) == index
    )
