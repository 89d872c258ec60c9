"""How fast is a training step under other releases of JAX?

    python experiments/performance/throughput/releases.py OTHER/bin/python …

Each interpreter has this package with a release of JAX of its own. The step is that of a `Program`
in throughput.py and of plain Flax and Optax; PyTorch runs where this interpreter has it. All are
processes that take turns. The ratio is to the `Program` of the first release, this interpreter's,
as the median of the ratios within a round; above 1 is faster. With three releases this takes about
ten minutes on two cores. The rows land in `results/throughput/`.
"""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from throughput import Process, median_ratio, take_turns, write
from throughput_worker import Job


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command.

    Attributes:
        pythons: interpreters of the other environments.
        networks: names of the networks to measure.
        batch_size: images a step.
        rounds: the number of turns of each contestant.
    """

    pythons: Annotated[tuple[Path, ...], tyro.conf.Positional]
    networks: tuple[Literal["resnet8", "resnet20", "wrn16_4"], ...] = (
        "resnet8",
        "resnet20",
        "wrn16_4",
    )
    batch_size: int = 128
    rounds: int = 7

    def processes(self, network: str) -> list[Process]:
        """Starts the contestants, this interpreter's `Program` first."""
        pythons = (sys.executable, *self.pythons)
        pairs = [(name, python) for name in ("jaxsched", "flax") for python in pythons]
        if importlib.util.find_spec("torch") is not None:
            pairs.append(("torch", sys.executable))
        return [
            Process(Job(name, network, self.batch_size, "float32"), "throughput", python)
            for name, python in pairs
        ]


def measure(options: Options, network: str) -> list[dict[str, Any]]:
    """Measures a network, a row for each contestant and release."""
    rows = take_turns(options.processes(network), options.rounds)
    first = rows[0]["seconds"]
    return [{**found, "to_first": median_ratio(first, found["seconds"])} for found in rows]


def table(rows: list[dict[str, Any]]) -> Table:
    """Formats the rows as a Markdown table."""
    result = Table(box=box.MARKDOWN)
    for column in ("network", "contestant", "release", "images/s", "to the first", "to torch"):
        left = column in ("network", "contestant", "release")
        result.add_column(column, justify="left" if left else "right", no_wrap=True)
    for found in rows:
        result.add_row(
            found["network"],
            found["contestant"],
            release(found),
            f"{found['images_per_second']:,.0f}",
            f"{found['to_first']:.2f}",
            f"{found['to_torch']:.2f}" if found["to_torch"] else "",
        )
    return result


def release(found: dict[str, Any]) -> str:
    """The release of the contestant's framework."""
    if found["contestant"] == "torch":
        return f"torch {found['torch']}"
    return f"jax {found['environment']['packages']['jax']}"


def main(options: Options) -> None:
    """Measures, prints the table and writes the rows."""
    console, rows = Console(width=120), []
    for network in options.networks:
        console.print(f"measuring {network} …")
        rows += measure(options, network)
    console.print(table(rows))
    console.print(write(rows, "releases_cpu_float32"))


if __name__ == "__main__":
    main(tyro.cli(Options))
