"""Bytes that a program moves from and to main memory."""

from collections.abc import Iterable, Iterator

from jaxsched.ahead_of_time.hlo.parse import Computation, Instruction, Program
from jaxsched.ahead_of_time.hlo.shapes import Shape
from jaxsched.ahead_of_time.hlo.walk import Site

# Instructions that move nothing themselves: names and views of arrays, and calls, whose own
# instructions count.
_MOVE_NOTHING = (
    "after-all", "bitcast", "call", "conditional", "constant", "get-tuple-element", "opt-barrier",
    "parameter", "partition-id", "replica-id", "tuple", "while",
)  # fmt: skip
_SLICES = ("dynamic-slice", "gather", "slice")


def traffic(program: Program, sites: Iterable[Site]) -> int:
    """Returns the bytes that a program reads from and writes to main memory, with their padding.

    Each instruction outside fusions reads its operands and writes its results. Of what is sliced or
    gathered only the slices count, of what is updated in place only the update. What stays in a
    TPU's vector memory does not count; what stays in a GPU's or CPU's cache does, so that it is an
    upper bound there. A loop of unknown length counts as one trip.

    Args:
        program: the program.
        sites: what it runs.
    """
    return sum(_moved(program, site) * site.times for site in sites if _moves(site.instruction))


def _moves(instruction: Instruction) -> bool:
    opcode = instruction.opcode
    is_call = opcode in ("async-start", "async-update") or opcode.endswith("-done")
    return opcode not in _MOVE_NOTHING and not is_call


def _moved(program: Program, site: Site) -> int:
    """Returns the bytes that one run of an instruction moves."""
    if site.is_fused:
        return 0
    instruction, computation = site.instruction, site.scope.computation
    operands = computation.operands(instruction)
    opcode = instruction.opcode.removesuffix("-start")
    if opcode in _SLICES:
        # Starts give what they take, too.
        slices = instruction.shapes[0] if opcode == instruction.opcode else instruction.shapes[1]
        return _bytes(operands[0].shapes[:1], at_most=slices) + _bytes([slices])
    if opcode == "dynamic-update-slice":
        return 2 * _bytes(operands[1].shapes)
    if opcode == "scatter":
        return 2 * _bytes(operands[-1].shapes) + _bytes(operands[1].shapes)
    taken = [shape for operand in operands for shape in operand.shapes]
    if called := instruction.called("calls"):
        fused = program.computations[called[0]]
        return _read_by(fused, operands) + _written_by(fused)
    given = instruction.shapes
    if opcode == "copy" and opcode != instruction.opcode:
        given = given[:1]  # behind it come what is copied and a counter
    elif opcode != instruction.opcode and len(given) > len(taken):
        given = given[len(taken) :]
    return _bytes(taken) + _bytes(given)


def _bytes(shapes: Iterable[Shape], at_most: Shape | None = None) -> int:
    """Returns the bytes of arrays in main memory, each counted as no more than another array."""
    sizes = (shape.padded_bytes for shape in shapes if shape.memory_space == 0)
    return sum(size if at_most is None else min(size, at_most.padded_bytes) for size in sizes)


def _read_by(fused: Computation, operands: tuple[Instruction, ...]) -> int:
    """Returns the bytes that a fusion reads of its operands."""
    total = 0
    for parameter in fused.instructions:
        if parameter.opcode == "parameter":
            shapes = operands[int(parameter.literal)].shapes
            parts = list(_parts_read(fused, parameter))
            whole = _bytes(shapes)
            total += whole if None in parts else min(whole, sum(filter(None, parts)))
    return total


def _parts_read(fused: Computation, array: Instruction) -> Iterator[int | None]:
    """Yields the bytes of each slice that a fusion takes of an array; None where it takes all."""
    for user in fused.instructions:
        if array.name not in user.operands:
            continue
        if user.opcode == "bitcast":
            yield from _parts_read(fused, user)
        elif user.opcode in _SLICES and user.operands[0] == array.name:
            yield user.shapes[0].padded_bytes
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == array.name:
            yield 0  # updated in place
        else:
            yield None


def _written_by(fused: Computation) -> int:
    """Returns the bytes that a fusion writes: of an array updated in place, only the update."""
    root = fused.root
    results = fused.operands(root) if root.opcode == "tuple" else (root,)
    total = 0
    for result in results:
        given = result
        while given.opcode == "bitcast":
            given = fused.operands(given)[0]
        is_in_place = given.opcode == "dynamic-update-slice"
        total += _bytes(fused.operands(given)[1].shapes if is_in_place else result.shapes)
    return total
