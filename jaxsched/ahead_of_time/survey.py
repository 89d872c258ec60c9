"""All programs of an experiment, compiled one after another, with what each one costs."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from jaxsched.ahead_of_time.chips import Chip
from jaxsched.ahead_of_time.cost import Cost, cost_on
from jaxsched.ahead_of_time.findings import Finding, findings
from jaxsched.ahead_of_time.fit import Remedy, remedy
from jaxsched.ahead_of_time.programs import Compiled, DescribedPrograms, DoesNotFitError
from jaxsched.ahead_of_time.topology import Topology


@dataclass(frozen=True, eq=False)
class Surveyed:
    """A program with what it costs.

    Attributes:
        what: the phases of which it makes the updates, or what else it does.
        batch_size: the batch size of its updates; None for other programs.
        examples: the examples of a batch on each chip; None for other programs.
        micro_batches: how many parts a chip cuts them into.
        memory: the bytes of a chip that programs may use.
        compiled: the program; None where the compiler refuses it.
        refusal: why it does.
        cost: the least time on the chip; None where nothing is known of the chip, as of a CPU.
        findings: its costly habits.
        remedy: what makes it fit; None where it fits, and for other programs than updates.
    """

    what: str
    batch_size: int | None
    examples: int | None
    micro_batches: int
    memory: int
    compiled: Compiled | None = None
    refusal: str | None = None
    cost: Cost | None = None
    findings: tuple[Finding, ...] = ()
    remedy: Remedy | None = None

    @property
    def fits(self) -> bool:
        """Whether the chip has memory for it."""
        return self.compiled is not None and self.compiled.memory.total <= self.memory

    @property
    def exchanges(self) -> dict[tuple[str, str], tuple[int, int]]:
        """The number and the bytes of the exchanges between chips, by their kind and dtype."""
        counts, sizes = Counter(), Counter()
        for found in self.compiled.facts.collectives if self.compiled else ():
            counts[found.kind, found.dtype] += found.times
            sizes[found.kind, found.dtype] += found.total_bytes
        return {key: (counts[key], sizes[key]) for key in sorted(counts)}


def survey(
    programs: DescribedPrograms, machine: Topology, say: Callable[[str], None]
) -> Iterator[Surveyed]:
    """Compiles all that a run repeats; yields one program after another.

    These are the updates of each batch size, the evaluation and, where the run keeps an average of
    weights with batch norm, the statistics of that average.

    Args:
        programs: the experiment's programs.
        machine: the machine that they are for.
        say: is called with a sentence before each compilation, which may take minutes.
    """
    for size in programs.batch_sizes:
        one = Surveyed(
            what=_phases(programs, size),
            batch_size=size,
            examples=size // programs.num_chips,
            micro_batches=programs.micro_batches(size),
            memory=programs.memory,
        )
        say(f"compiling {one.what}, batch size {size:,}")
        one = _measured(one, lambda size=size: programs.updates(size), programs, machine)
        if not one.fits:
            one = dataclasses.replace(one, remedy=remedy(programs, size, say))
        yield one
    others = {"evaluation": programs.evaluation}
    if programs.recomputes_batch_stats:
        others["batch-norm statistics of the average"] = programs.batch_stats
    for what, compile_it in others.items():
        say(f"compiling the {what}")
        one = Surveyed(what, None, None, 1, programs.memory)
        yield _measured(one, compile_it, programs, machine)


def _phases(programs: DescribedPrograms, batch_size: int) -> str:
    numbers = [n for n, s in enumerate(programs.plan.segments, 1) if s.batch_size == batch_size]
    if not numbers:
        return "a size that the batch may grow to"
    return f"phase{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _measured(
    one: Surveyed,
    compile_it: Callable[[], Compiled],
    programs: DescribedPrograms,
    machine: Topology,
) -> Surveyed:
    try:
        compiled = compile_it()
    except DoesNotFitError as error:
        return dataclasses.replace(one, refusal=str(error))
    return dataclasses.replace(
        one,
        compiled=compiled,
        cost=_cost(machine.chip, compiled, programs.experiment.precision),
        # To a CPU gathers of bytes are cheap.
        findings=tuple(
            found
            for found in findings(compiled.facts)
            if machine.platform != "cpu" or found.kind != "byte gather"
        ),
    )


def _cost(chip: Chip | None, compiled: Compiled, precision: str) -> Cost | None:
    return chip and cost_on(chip, compiled.facts, exact=precision == "float32")


def as_json(one: Surveyed) -> dict[str, Any]:
    """Returns a surveyed program as JSON."""
    found: dict[str, Any] = {
        "what": one.what,
        "batch_size": one.batch_size,
        "examples_per_chip": one.examples,
        "micro_batches": one.micro_batches,
        "fits": one.fits,
        "memory_of_a_chip": one.memory,
        "refusal": one.refusal,
        "remedy": one.remedy and dataclasses.asdict(one.remedy),
    }
    if one.compiled is None:
        return found
    facts, memory = one.compiled.facts, one.compiled.memory
    return {
        **found,
        "compile_seconds": round(one.compiled.seconds, 2),
        "memory": {**dataclasses.asdict(memory), "total": memory.total},
        "flops": facts.flops,
        "flops_by_dtype": facts.flops_by_dtype,
        "traffic": facts.traffic,
        "seconds_at_peak": one.cost and one.cost.arithmetic,
        "seconds_at_bandwidth": one.cost and one.cost.traffic,
        "utilisation_at_most": one.cost and one.cost.utilisation,
        "exchanges": [
            {"kind": kind, "dtype": dtype, "count": count, "bytes": size}
            for (kind, dtype), (count, size) in one.exchanges.items()
        ],
        "findings": [dataclasses.asdict(finding) for finding in one.findings],
        "unknown_loops": len(facts.unknown_loops),
        "uncounted_calls": list(facts.uncounted_calls),
    }
