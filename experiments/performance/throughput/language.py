"""How many tokens a second does a language model's training step take? Ours, plain Flax, PyTorch.

    python experiments/performance/throughput/language.py

On a CPU with two cores this takes about three minutes. The contestants are one training step by
AdamW of the same transformer, with bytes as tokens, float32:

- `flax`: Flax's and Optax's own parts, written as their examples write it, the batch given;
- `jaxsched`: a `Program` at constant rates, its batches gathered from memory;
- `torch`: PyTorch with its fused attention and its fused AdamW; left out where it is not installed.

Processes, rounds and ratios are those of throughput.py. The rows land in `results/throughput/`.
"""

import dataclasses
import importlib.util
import re
from typing import Any, Literal

import tyro
from language_networks import NETWORKS
from rich import box
from rich.console import Console
from rich.table import Table
from throughput import measure, write
from throughput_worker import Job


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command.

    Attributes:
        networks: names of the networks to measure, depth × width.
        contestants: names of the contestants.
        batch_size: windows a step.
        rounds: the number of turns of each contestant.
    """

    networks: tuple[Literal["2x64", "4x128", "6x384"], ...] = ("2x64", "4x128")
    contestants: tuple[Literal["flax", "jaxsched", "torch"], ...] = ("flax", "jaxsched", "torch")
    batch_size: int = 32
    rounds: int = 9

    def jobs(self, network: str) -> list[Job]:
        """The jobs of the contestants that can run on this machine."""
        has_torch = importlib.util.find_spec("torch") is not None
        return [
            Job(contestant, network, self.batch_size, "float32")
            for contestant in self.contestants
            if has_torch or contestant != "torch"
        ]


def with_tokens(row: dict[str, Any]) -> dict[str, Any]:
    """Tells a row of `measure` in tokens a second."""
    context = NETWORKS[row["network"]].context
    windows_per_second = row.pop("images_per_second")
    return {**row, "context": context, "tokens_per_second": windows_per_second * context}


def table(rows: list[dict[str, Any]]) -> Table:
    """Formats the rows as a Markdown table."""
    result = Table(box=box.MARKDOWN)
    columns = ("network", "contestant", "tokens/s", "to torch", "ms a step", "ready s", "peak MiB")
    for column in columns:
        justify = "left" if column in columns[:2] else "right"
        result.add_column(column, justify=justify, no_wrap=True)
    for row in rows:
        tokens = row["batch_size"] * row["context"]
        result.add_row(
            row["network"],
            row["contestant"],
            f"{row['tokens_per_second']:,.0f}",
            f"{row['to_torch']:.2f}" if row["to_torch"] else "",
            f"{1e3 * tokens / row['tokens_per_second']:.1f}",
            f"{row['ready_seconds']:.1f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
        )
    return result


def main(options: Options) -> None:
    """Measures, prints the table and writes the rows."""
    console, rows = Console(width=120), []
    for network in options.networks:
        console.print(f"measuring {network} …")
        found = measure(options.jobs(network), options.rounds, kind="language")
        rows += [with_tokens(row) for row in found]
    console.print(table(rows))
    device = re.sub(r"\W+", "_", rows[0]["device"].lower())
    console.print(write(rows, f"language_{device}_float32"))


if __name__ == "__main__":
    main(tyro.cli(Options))
