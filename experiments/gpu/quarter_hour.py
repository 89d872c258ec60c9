"""A quarter of an hour of a GPU: throughput, the order of schedules, a speedrun, batch growth.

    python experiments/gpu/quarter_hour.py --minutes 12
    python experiments/gpu/quarter_hour.py --size smoke --workdir runs/rehearsal   # on a CPU

The folder `data` holds CIFAR-10's official files; without it the studies are left out. The stages:

    throughput  ResNet-18 in bfloat16 against PyTorch's compiler        about 2.5 minutes
    order       steps, 1cycle and cosine: ResNet-18, 50 epochs          5/11.5 of the rest
    speedrun    to 94 %: 1cycle in 16 and 30 epochs, steps in 50        3.5/11.5
    growth      a growing batch against a decaying rate: WRN-16-4       3/11.5
    throughput  ResNet-50, then WRN-16-4                                what is left

Each study is its file's size `quarter_hour`: three seeds, and what matters most comes first. What a
stage leaves of its part goes to the others. By `costs.py` the studies train for 5, 3 and 1 minutes
of an H200; each compiles for a minute or two. A study that is cut off is saved, and the same
command goes on there, also after a kill. After the minutes nothing starts; what runs is saved,
which takes up to a minute more. `--size full` has the sources' sizes, for hours of a GPU.

Records, reports and logs land in the working folder. `--archive` also packs them, without
checkpoints, into one file, anew every half minute, for a machine that gives back little: unpacked
into the working folder of another machine, they are gone on from.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro
from stage import Stage
from work_folder import WorkFolder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
THROUGHPUT = ROOT / "experiments" / "performance" / "throughput" / "throughput.py"
STUDIES = {"order": "lr_schedulers", "speedrun": "speedrun", "growth": "dont_decay"}
SHARES = {"order": 5.0, "speedrun": 3.5, "growth": 3.0}
OTHER_NETWORKS = ("resnet50", "wrn16_4")
BATCH_SIZES = {"resnet18": 512, "resnet50": 256, "wrn16_4": 512}
SEARCHED = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
ENVIRONMENT = {**os.environ, "PYTHONPATH": SEARCHED}


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command.

    Attributes:
        size: that of the studies; "smoke" rehearses all stages with tiny networks.
        minutes: how long to start stages and let them run.
        workdir: the folder of records, reports and logs.
        archive: a .tar.gz of them, without checkpoints.
    """

    size: Literal["quarter_hour", "full", "smoke"] = "quarter_hour"
    minutes: float = 12.0
    workdir: Path = ROOT / "experiments" / "results" / "gpu"
    archive: Path | None = None


def stages(options: Options, machine: dict[str, Any]) -> list[Stage]:
    """Returns all stages, in order."""
    is_real = options.size != "smoke"
    torch = ("torch", "torch_compiled") if uses_torch(machine) else ()
    folder, obstacle = options.workdir, machine["studies_need"] or missing_data()
    return [
        throughput("resnet18" if is_real else "resnet8", ("jaxsched", "flax", *torch), folder),
        *(study(name, options, obstacle) for name in STUDIES),
        *(throughput(name, ("jaxsched", *torch[1:]), folder) for name in OTHER_NETWORKS if is_real),
    ]


def throughput(network: str, contestants: Sequence[str], workdir: Path) -> Stage:
    """Returns the stage that measures a network's training step, on a GPU in bfloat16."""
    batch_size = BATCH_SIZES.get(network)
    how = ["--precision", "bfloat16", "--batch-size", str(batch_size), "--rounds", "7"]
    command = [
        sys.executable, str(THROUGHPUT), "--networks", network, "--contestants", *contestants,
        *(how if batch_size else ["--batch-size", "8", "--rounds", "1"]),
        "--folder", str(workdir / "throughput" / network),
    ]  # fmt: skip
    return Stage(f"throughput_{network}", command)


def study(name: str, options: Options, obstacle: str | None) -> Stage:
    """Returns the stage that makes a study's runs."""
    path, size = ROOT / "experiments" / "studies" / f"{STUDIES[name]}.py", str(options.size)
    if options.size == "smoke":
        path, size = HERE / "rehearsal.py", STUDIES[name]
    command = [
        sys.executable, "-m", "jaxsched.cli", "bench", os.path.relpath(path), "--size", size,
        "--workdir", str(options.workdir), "--checkpoint-minutes", "1",
    ]  # fmt: skip
    return Stage(name, command, SHARES[name], obstacle)


def missing_data() -> str | None:
    """Says what to do where there are no images; None where there are."""
    if Path("data").exists():
        return None
    return (
        "expected CIFAR-10's official files in the folder data, found no such folder; unpack "
        "cifar-10-binary.tar.gz of https://www.cs.toronto.edu/~kriz/cifar.html there, or link "
        "to them: ln -s FOLDER data"
    )


def describe_machine(size: str) -> dict[str, Any]:
    """Returns what machine.py finds here; ends the command if it has no GPU for what needs one."""
    command = [sys.executable, str(HERE / "machine.py")]
    found = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"expected a JAX that starts, got:\n{found.stderr}")
    machine = json.loads(found.stdout.splitlines()[-1])
    say(f"machine: {json.dumps(machine)}")
    if machine["platform"] == "cpu" and size != "smoke":
        sys.exit(
            "expected a GPU, JAX finds only a CPU; install jax with its plugin for the GPU, or "
            "rehearse with --size smoke"
        )
    if not uses_torch(machine):
        say("PyTorch is left out of the throughput: it is not installed, or not for this device")
    return machine


def uses_torch(machine: dict[str, Any]) -> bool:
    """Whether PyTorch computes on the device that JAX uses."""
    return machine["torch_device"] == machine["device"]


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(line, flush=True)


def main(options: Options) -> None:
    """Runs the stages that are left, and says of each how long it took."""
    end = time.monotonic() + 60 * options.minutes
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    machine, folder = describe_machine(options.size), WorkFolder(options.workdir, options.archive)
    done, failed = folder.done(options.size), []
    every = [stage for stage in stages(options, machine) if stage.name not in done]
    left = [stage for stage in every if not stage.obstacle]
    if blocked := [stage for stage in every if stage.obstacle]:
        say(f"{', '.join(stage.name for stage in blocked)}: left out: {blocked[0].obstacle}")
    for place, stage in enumerate(left):
        start = time.monotonic()
        if (seconds := end - start) <= 0:
            say(f"{stage.name}: no time is left")
            continue
        if stage.share:
            seconds *= stage.share / sum(other.share for other in left[place:])
        try:
            status = stage.run(seconds, folder.log(stage.name), ENVIRONMENT, folder.pack)
        finally:
            folder.pack()
        took = time.monotonic() - start
        folder.add(stage=stage.name, size=options.size, status=status, seconds=took, **machine)
        failed += [stage.name] if status else []
        ends = {0: "done", None: "cut off, the same command goes on"}
        how = ends.get(status, f"failed, see {folder.log(stage.name)}")
        say(f"{stage.name}: {how}, {took:.0f} s")
    folder.pack()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(tyro.cli(Options))
