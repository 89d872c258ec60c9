"""Instructions and computations of a program, from its text."""

import re
from dataclasses import dataclass
from functools import cached_property

from jaxsched.ahead_of_time.hlo.shapes import Shape, shapes_in
from jaxsched.ahead_of_time.hlo.source import SourceTable, Stack

_HEADING = re.compile(r"^(ENTRY )?%([^\s(]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%(\S+) = ")
_COMMENT = re.compile(r"/\*.*?\*/")
_OP_NAME = re.compile(r'op_name="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, eq=False)
class Instruction:
    """One operation of a computation.

    Attributes:
        name: its name, without the percent sign.
        shapes: the arrays that it gives; more than one where it gives a tuple.
        opcode: such as `fusion`, `convolution` or `while`.
        operands: the names of the instructions whose results it takes.
        literal: the text in its parentheses: the value of a constant, the number of a parameter.
        attributes: the text behind the parentheses, without metadata and backend configuration.
        metadata: the text of its metadata.
        backend_config: the text of the backend's configuration.
        stack: the lines of Python that it stems from, from the innermost.
    """

    name: str
    shapes: tuple[Shape, ...]
    opcode: str
    operands: tuple[str, ...]
    literal: str
    attributes: str
    metadata: str
    backend_config: str
    stack: Stack

    @property
    def op_name(self) -> str:
        """JAX's name of the operation; a parameter's is the argument's, such as `w['a']`."""
        found = _OP_NAME.search(self.metadata)
        return re.sub(r"\\(.)", r"\1", found[1]) if found else ""

    def attribute(self, name: str) -> str | None:
        """Returns the value of an attribute, with its braces if it has some; None without it."""
        found = re.search(rf"(?:^|[ ,]){name}=(\{{[^}}]*\}}|[^,\s]+)", self.attributes)
        return found[1] if found else None

    def numbers(self, name: str) -> tuple[int, ...]:
        """Returns the numbers of an attribute such as `slice_sizes={1,32,3}`."""
        return tuple(map(int, re.findall(r"-?\d+", self.attribute(name) or "")))

    def called(self, name: str) -> tuple[str, ...]:
        """Returns the names of the computations that an attribute such as `calls` names."""
        return tuple(re.findall(r"%([\w.\-]+)", self.attribute(name) or ""))


@dataclass(frozen=True, eq=False)
class Computation:
    """A list of instructions, of which the last one or the one marked as root is the result."""

    name: str
    instructions: tuple[Instruction, ...]
    root: Instruction

    @cached_property
    def by_name(self) -> dict[str, Instruction]:
        """The instructions by their names."""
        return {instruction.name: instruction for instruction in self.instructions}

    def operands(self, instruction: Instruction) -> tuple[Instruction, ...]:
        """Returns the instructions whose results an instruction takes."""
        return tuple(self.by_name[name] for name in instruction.operands)


@dataclass(frozen=True, eq=False)
class Program:
    """A module: its first line, its computations by name, and the one that starts."""

    first_line: str
    computations: dict[str, Computation]
    entry: Computation


def parse_program(text: str) -> Program:
    """Returns the computations of a program.

    Args:
        text: the optimised HLO, as `compiled.as_text()` gives it.

    Raises:
        ValueError: if the text is no HLO module.
    """
    first_line = text.partition("\n")[0]
    if not first_line.startswith("HloModule "):
        raise ValueError(
            "expected the text of a compiled program, which starts with 'HloModule', got "
            f"{first_line[:60]!r}; compiled.as_text() gives it."
        )
    computations: dict[str, Computation] = {}
    entry = None
    sources = None
    lines = iter(text.splitlines())
    start = 0
    for line in lines:
        heading = _HEADING.match(line)
        if not heading:
            start += len(line) + 1
            continue
        if sources is None:
            sources = SourceTable(text[:start])
        body = []
        for inner in lines:
            if inner.startswith("}"):
                break
            body.append(inner)
        computation = _computation(heading[2], body, sources)
        computations[computation.name] = computation
        if heading[1]:
            entry = computation
    if entry is None:
        raise ValueError(
            "expected a program with a computation marked ENTRY, got none; is the text cut off?"
        )
    return Program(first_line, computations, entry)


def _computation(name: str, lines: list[str], sources: SourceTable) -> Computation:
    instructions = []
    root = None
    for line in lines:
        found = _INSTRUCTION.match(line)
        if found:
            instruction = _instruction(found[2], _COMMENT.sub("", line[found.end() :]), sources)
            instructions.append(instruction)
            root = instruction if found[1] else root
    if not instructions:
        raise ValueError(f"expected instructions in the computation {name}, got none.")
    return Computation(name, tuple(instructions), root or instructions[-1])


def _instruction(name: str, text: str, sources: SourceTable) -> Instruction:
    end = _closing(text, 0) + 1 if text.startswith("(") else text.index(" ")
    opening = text.index("(", end)
    closing = _closing(text, opening)
    inside, rest = text[opening + 1 : closing], text[closing + 1 :]
    rest, _, backend_config = rest.partition(", backend_config=")
    attributes, _, metadata = rest.partition(", metadata={")
    opcode = text[end:opening].strip()
    return Instruction(
        name=name,
        shapes=shapes_in(text[:end]),
        opcode=opcode,
        operands=() if opcode == "constant" else tuple(re.findall(r"%([\w.\-]+)", inside)),
        literal=inside,
        attributes=attributes.lstrip(", "),
        metadata=metadata,
        backend_config=backend_config,
        stack=sources.stack(metadata),
    )


def _closing(text: str, opening: int) -> int:
    """Returns the index of the parenthesis that closes the one at `opening`."""
    depth = 0
    for found in re.compile(r"[()]").finditer(text, opening):
        depth += 1 if found.group() == "(" else -1
        if depth == 0:
            return found.start()
    raise ValueError(f"expected a closing parenthesis in {text[opening : opening + 60]!r}.")
