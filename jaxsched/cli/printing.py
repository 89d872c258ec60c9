"""Prints lines and the plan of a run."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jaxsched.experiment import Experiment, misfits
from jaxsched.plan import Plan
from jaxsched.text import first_to_last, visible
from jaxsched.text_table import fitted_table
from jaxsched.tracking.progress import print_line


def print_plan(experiment: Experiment, plan: Plan, console: Console) -> None:
    """Prints the phases in updates, the schedules in epochs, and the stateful transformations.

    Times that look like a mistake are said last, so that they are seen.
    """
    schedules = experiment.optimizer.schedules()
    lr = schedules.get("lr", schedules.get("learning_rate"))
    rows: list[tuple[str, ...]] = [
        ("", "epochs", "batch size", "updates", "first update", "learning rate")
    ]
    for number, segment in enumerate(plan.segments, start=1):
        updates = segment.end_step - segment.start_step
        epochs = updates * segment.batch_size / plan.num_examples
        counts = (segment.batch_size, updates, segment.start_step)
        ends = ""
        if lr is not None:
            lr_at = plan.in_updates(lr)
            steps = (segment.start_step, segment.end_step - 1)
            ends = first_to_last(np.array([float(lr_at(step)) for step in steps]))
        rows.append((f"phase {number}", f"{epochs:.5g}", *(f"{count:,}" for count in counts), ends))
    print_line(f"{experiment.name}: {plan.total_steps:,} updates", console)
    print_line(fitted_table(rows, console.width), console)
    for name, schedule in schedules.items():
        print_line(f"{name} = {plan.resolve(schedule)}", console)
    for name, stateful in experiment.optimizer.stateful_specs().items():
        print_line(f"{name} = {stateful}", console)
    if experiment.batch_growth is not None:
        growth = experiment.batch_growth
        print_line(f"batch_growth = {growth}: later phases are decided during the run", console)
    for sentence in misfits(experiment, plan):
        print_line(f"note: {sentence}", console)


def print_path(what: str, path: Path, console: Console) -> None:
    """Prints where something is: the whole path, a link in a terminal that can follow it."""
    path = path.resolve()
    text = Text.assemble(f"{what}: ", (visible(str(path)), Style(link=path.as_uri())))
    print_line(text, console)


class PipeConsole(Console):
    """A console whose command ends as the shell expects when what reads its output has ended."""

    def on_broken_pipe(self) -> None:
        """Raises the error on, where Rich would end the command with status 1."""
        raise
