"""`jaxsched compile`: memory, time and exchanges of a machine that is not there."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from jaxsched import tracking
from jaxsched.ahead_of_time.programs import DescribedPrograms
from jaxsched.ahead_of_time.survey import as_json, survey
from jaxsched.ahead_of_time.tables import program_text
from jaxsched.ahead_of_time.topology import Topology, describe_machine
from jaxsched.cli.commands.compile import Compile
from jaxsched.cli.errors import in_words
from jaxsched.cli.options import Given
from jaxsched.cli.paths import require_new_file
from jaxsched.cli.printing import print_line, print_path, print_plan
from jaxsched.cli.set_aside import set_aside
from jaxsched.data import Dataset, Examples, Source
from jaxsched.data.dataset import UnreadArrays, UnreadExamples
from jaxsched.experiment import Experiment, describe, require_computable
from jaxsched.output import make_folder, write_text


def run(given: Given[Compile], console: Console) -> None:
    """Runs the command."""
    options, experiment = given.options, given.experiment
    if options.output is not None:
        _require_free(options.output, overwrite=options.overwrite)
    # Without it JAX would take the accelerators of this machine, if it has some.
    jax.config.update("jax_platforms", "cpu")
    machine = describe_machine(options.topology, lambda text: print_line(text, console))
    dataset = _dataset(experiment.task.data, options.num_examples)
    programs = DescribedPrograms(experiment, dataset, machine)
    require_computable(experiment, programs.plan)
    print_plan(experiment, programs.plan, console)
    feed = "resident on each chip" if isinstance(dataset.train, Examples) else "streamed"
    print_line(
        f"for {machine.name}: {programs.num_chips} chip{'s' * (programs.num_chips > 1)} of "
        f"{programs.memory / 1e9:.2f} GB, driver {experiment.driver}, {experiment.precision}, "
        f"{dataset.name} {feed}; nothing is run",
        console,
    )
    path = options.output or _own_path(experiment, options)
    if options.output is None:
        make_folder(path.parent)
    if folder := set_aside([path]):
        print_line(f"the earlier {path.name} is kept in {folder}", console)
    header = _header(experiment, machine, programs, feed)
    found = []
    for one in survey(programs, machine, lambda text: print_line(f"{text} …", console)):
        print_line(f"\n{program_text(one, console.width)}\n", console)
        found.append(as_json(one))
        # Each takes minutes: one who stops keeps those that are finished.
        write_text(path, json.dumps({**header, "programs": found}, indent=1) + "\n")
    print_path("figures in", path, console)


def _require_free(output: Path, *, overwrite: bool) -> None:
    """Refuses a file that cannot be written, or that is there already."""
    require_new_file(output, [".json"])
    if output.exists() and not overwrite:
        raise FileExistsError(
            f"{output} already exists; give another --output, or --overwrite, which sets it aside."
        )


def _own_path(experiment: Experiment, options: Compile) -> Path:
    """The file in the folder of the experiment's run, another one for any other machine."""
    record = tracking.record_path(options.workdir, experiment, experiment.seed)
    number = "" if options.num_examples is None else f"-{options.num_examples}"
    machine = options.topology.replace(":", "-")
    name = f"compiled-{machine}{number}.json"
    return record.with_suffix("") / name


def _dataset(source: Source, num_examples: int | None) -> Dataset:
    """The shapes of a source's data, or the data where nothing else tells their shapes."""
    described = source.described(num_examples)
    if described is not None:
        return described
    try:
        found = tracking.load(source)
    except (ValueError, OSError, ImportError) as error:
        raise ValueError(
            f"{in_words(error)} Compiling needs only the shapes of the data; an ImageFolder tells "
            "them by its num_train and num_classes, and CIFAR without any."
        ) from error
    if num_examples is None:
        return found
    like = UnreadArrays if isinstance(found.train, Examples) else UnreadExamples
    train = like(num_examples, UnreadExamples.of(found.train).parts)
    return dataclasses.replace(found, train=train)


def _header(
    experiment: Experiment, machine: Topology, programs: DescribedPrograms, feed: str
) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "digest": experiment.digest(),
        "config": describe(experiment),
        "topology": machine.name,
        "chips": programs.num_chips,
        "chip": machine.chip and dataclasses.asdict(machine.chip),
        "data": feed,
        "training_examples": programs.plan.num_examples,
        "packages": tracking.environment()["packages"],
    }
