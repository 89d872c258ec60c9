"""How many images a second does a training step take? jaxsched, plain Flax and Optax, and PyTorch.

    python experiments/performance/throughput/throughput.py

On a CPU with two cores this takes about four minutes. On a GPU (not run yet):

    python experiments/performance/throughput/throughput.py --precision bfloat16 \\
        --batch-size 512 --rounds 9 --networks resnet8 resnet20 resnet18 wrn16_4 resnet50 \\
        --contestants flax jaxsched jaxsched_everything torch torch_compiled

The contestants are one training step of the same network by

- `flax`: Flax's and Optax's own parts, written as their examples write it, the batch given;
- `jaxsched`: a `Program` at constant rates, its batches gathered from memory;
- `jaxsched_everything`: a `Program` with augmentation, every rate scheduled, ABEL, plateau,
  averaging and norms;
- `torch` and `torch_compiled`: PyTorch, channels last; left out where it is not installed.

Each contestant is a process of its own, with threads and peak memory of its own. They take turns, a
second each, and wait in between. Numbers are medians over rounds, and the ratio is the median of
the ratios within a round. `ready` is the time from nothing to the end of the first step, most of
it compilation. MFU is 2 · (3 · MAC − the first layer's input gradient) an image over the device's
published dense bfloat16 peak; the floor is an H200's, see `throughput_networks.py`. On a CPU this
package splits the batch over virtual devices as its command does (JAX_NUM_CPU_DEVICES=1 keeps it
from that); the others use all cores in their own way. Each row lands in `results/throughput/` with
everything it was made with.
"""

import dataclasses
import importlib.util
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from throughput_networks import NETWORKS
from throughput_worker import Job

from jaxsched.ahead_of_time.chips import GPUS

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "results" / "throughput"


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command.

    Attributes:
        networks: names of the networks to measure.
        contestants: names of the contestants.
        batch_size: images a step.
        rounds: the number of turns of each contestant.
        precision: the dtype that the network computes in.
        folder: where the rows are written, to a file named after the device and the precision.
    """

    networks: tuple[Literal["resnet8", "resnet20", "resnet18", "wrn16_4", "resnet50"], ...] = (
        "resnet8",
        "resnet20",
        "wrn16_4",
    )
    contestants: tuple[
        Literal["flax", "jaxsched", "jaxsched_everything", "torch", "torch_compiled"], ...
    ] = ("flax", "jaxsched", "jaxsched_everything", "torch")
    batch_size: int = 128
    rounds: int = 5
    precision: Literal["float32", "bfloat16"] = "float32"
    folder: Path = RESULTS

    def jobs(self, network: str) -> list[Job]:
        """The jobs of the contestants that can run on this machine."""
        has_torch = importlib.util.find_spec("torch") is not None
        return [
            Job(contestant, network, self.batch_size, self.precision)
            for contestant in self.contestants
            if has_torch or "torch" not in contestant
        ]


class Process:
    """A contestant in its own process.

    Args:
        job: the job that it measures.
        kind: the scripts of its contestants are KIND_jax.py and KIND_torch.py.
        python: the interpreter that runs them.

    Attributes:
        job: the job that it measures.
        facts: its answer when it was ready.
        seconds: the seconds of a step, one for each round.
        peak_bytes: its peak memory, known once it has ended.
    """

    def __init__(self, job: Job, kind: str, python: Path | str = sys.executable):
        script = HERE / f"{kind}_{'torch' if 'torch' in job.contestant else 'jax'}.py"
        self.job = job
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            [python, script, json.dumps(dataclasses.asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # They share a GPU, so none may allocate all of its memory beforehand.
            env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        )
        self.facts = self._answer()

    def run_round(self) -> None:
        """Lets it make steps for about a second."""
        assert self._process.stdin
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        self.seconds.append(self._answer()["seconds"])

    def end(self) -> None:
        """Ends the process and reads its peak memory."""
        assert self._process.stdin
        self._process.stdin.close()
        self.peak_bytes = self._answer()["peak_bytes"]
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.job} ended without an answer; its error stands above.")
        return json.loads(line)


def measure(jobs: list[Job], rounds: int, kind: str = "throughput") -> list[dict[str, Any]]:
    """Measures the jobs, a row for each: they start one after another, then take turns."""
    return take_turns([Process(job, kind) for job in jobs], rounds)


def take_turns(processes: list[Process], rounds: int) -> list[dict[str, Any]]:
    """Measures the contestants of a network and ends them."""
    counts = {process.job.contestant: process.facts["parameters"] for process in processes}
    assert len(set(counts.values())) == 1, f"the networks differ in their parameters: {counts}"
    for _ in range(rounds):
        for process in processes:
            process.run_round()
    for process in processes:
        process.end()
    reference = next((p.seconds for p in processes if p.job.contestant == "torch"), None)
    # JAX's contestants count the operations and describe the machine, PyTorch's cannot.
    known = {name: value for process in processes for name, value in process.facts.items()}
    return [row(process, known, reference) for process in processes]


def row(process: Process, known: dict[str, Any], reference: list[float] | None) -> dict[str, Any]:
    """The row of a contestant; `known` has the facts of all contestants of this network."""
    facts = known | process.facts
    images_per_second = process.job.batch_size / statistics.median(process.seconds)
    device = facts["device"].lower()  # such as "nvidia h200"
    peak = next((gpu.bf16 for name, gpu in GPUS.items() if name in device), None)
    has_mfu = peak and process.job.precision == "bfloat16" and "train_flop" in facts
    return {
        **dataclasses.asdict(process.job),
        "images_per_second": images_per_second,
        "to_torch": reference and median_ratio(reference, process.seconds),
        "mfu": facts["train_flop"] * images_per_second / peak if has_mfu else None,
        "peak_bytes": process.peak_bytes,
        "seconds": process.seconds,
        **facts,
    }


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """Computes the median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def table(rows: list[dict[str, Any]]) -> Table:
    """Formats the rows as a Markdown table."""
    columns = ("network", "contestant", "images/s", "to torch", "ms a step", "ready s", "peak MiB")
    on_gpu = rows[0]["device"] != "cpu"
    result = Table(box=box.MARKDOWN)
    for column in (*columns, *(("MFU", "H200 floor, images/s") if on_gpu else ())):
        justify = "left" if column in columns[:2] else "right"
        result.add_column(column, justify=justify, no_wrap=True)
    for found in rows:
        cells = [
            found["network"],
            found["contestant"],
            f"{found['images_per_second']:,.0f}",
            f"{found['to_torch']:.2f}" if found["to_torch"] else "",
            f"{1e3 * found['batch_size'] / found['images_per_second']:.1f}",
            f"{found['ready_seconds']:.1f}",
            f"{found['peak_bytes'] / 2**20:,.0f}",
        ]
        if on_gpu:
            cells += [f"{found['mfu']:.1%}" if found["mfu"] else ""]
            cells += [f"{NETWORKS[found['network']].floor:,.0f}"]
        result.add_row(*cells)
    return result


def main(options: Options) -> None:
    """Measures, prints the table and writes the rows."""
    console, rows = Console(width=120), []
    for network in options.networks:
        console.print(f"measuring {network} …")
        rows += measure(options.jobs(network), options.rounds)
    console.print(table(rows))
    device = re.sub(r"\W+", "_", rows[0]["device"].lower())
    console.print(write(rows, f"{device}_{options.precision}", options.folder))


def write(rows: list[dict[str, Any]], name: str, folder: Path = RESULTS) -> Path:
    """Writes the rows with everything they were made with; returns the path."""
    made_with = {
        "command": shlex.join(["python", *sys.argv]),
        "variables": {
            name: value
            for name, value in os.environ.items()
            if name in ("GLIBC_TUNABLES", "XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "OMP_NUM_THREADS")
        },
    }
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**found, **made_with}) + "\n" for found in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


if __name__ == "__main__":
    main(tyro.cli(Options))
