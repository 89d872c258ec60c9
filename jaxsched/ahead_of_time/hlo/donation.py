"""Arguments of a program and whether their memory is used again for its results."""

import re
from collections import Counter
from dataclasses import dataclass

from jaxsched.ahead_of_time.hlo.parse import Program
from jaxsched.ahead_of_time.hlo.shapes import Shape

_ALIAS = re.compile(r"\{([\d, ]*)\}: \((\d+), \{([\d, ]*)\}")


@dataclass(frozen=True)
class Parameter:
    """An argument's array.

    Attributes:
        number: its place among the arrays of all arguments.
        name: JAX's name of it, such as `state['w']`; empty where the compiler kept none.
        shape: the array, a chip's part of it.
        is_aliased: whether a result takes its memory, as a donated argument's should.
        could_be: whether its memory would fit a result that takes no argument's: one of the same
            dtype and dimensions. The state of a training step that is not donated is found so.
    """

    number: int
    name: str
    shape: Shape
    is_aliased: bool
    could_be: bool


def parameters(program: Program) -> tuple[Parameter, ...]:
    """Returns the arrays of the program's arguments, in their order."""
    inputs, results = _entry_types(program)
    outputs, numbers = _aliases(program.first_line)
    free = Counter(str(shape) for index, shape in enumerate(results) if (index,) not in outputs)
    names = {
        int(instruction.literal): instruction.op_name
        for instruction in program.entry.instructions
        if instruction.opcode == "parameter"
    }
    found = []
    for number, shape in enumerate(inputs):
        could_be = number not in numbers and free[str(shape)] > 0
        free[str(shape)] -= could_be
        found.append(Parameter(number, names.get(number, ""), shape, number in numbers, could_be))
    return tuple(found)


def _entry_types(program: Program) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    """Returns the arrays of the arguments and of the results, each in their order."""
    instructions = [
        instruction
        for instruction in program.entry.instructions
        if instruction.opcode == "parameter"
    ]
    instructions.sort(key=lambda instruction: int(instruction.literal))
    inputs = tuple(shape for instruction in instructions for shape in instruction.shapes)
    return inputs, program.entry.root.shapes


def _aliases(first_line: str) -> tuple[set[tuple[int, ...]], set[int]]:
    """Returns the indices of the results and the numbers of the arguments that share memory."""
    start = first_line.find("input_output_alias={")
    if start < 0:
        return set(), set()
    end = first_line.find(" }", start)
    pairs = _ALIAS.findall(first_line[start:end])
    # A result that is no tuple has the empty index.
    outputs = {tuple(map(int, re.findall(r"\d+", output))) or (0,) for output, _, _ in pairs}
    return outputs, {int(number) for _, number, _ in pairs}
