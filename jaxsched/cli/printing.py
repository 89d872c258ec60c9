"""What commands show before and after they run."""

from rich.console import Console
from rich.table import Table

from jaxsched.experiment import Experiment
from jaxsched.plan import Plan, Segment
from jaxsched.plan.clock import TimeFunction


def say(text: str, console: Console) -> None:
    """Prints a line as it is, however long, where the console is not quiet."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_plan(experiment: Experiment, plan: Plan, console: Console) -> None:
    """Shows the plan as it will run: phases in updates, schedules in epochs, what has a memory."""
    table = Table(title=f"{experiment.name}: {plan.total_steps:,} updates")
    schedules = experiment.optimizer.schedules()
    rate = schedules.get("lr", schedules.get("learning_rate"))
    columns = ("phase", "epochs", "batch size", "updates", "first update", "learning rate")
    for column in columns:
        table.add_column(column, justify="right")
    for number, segment in enumerate(plan.segments, start=1):
        updates = segment.end_step - segment.start_step
        epochs = updates * segment.batch_size / plan.num_examples
        counts = (segment.batch_size, updates, segment.start_step)
        ends = "" if rate is None else _from_to(plan.schedule(rate), segment)
        table.add_row(str(number), f"{epochs:.5g}", *(f"{count:,}" for count in counts), ends)
    console.print(table)
    for name, schedule in schedules.items():
        say(f"{name} = {plan.resolve(schedule)}", console)
    for name, memory in experiment.optimizer.stateful_specs().items():
        say(f"{name} = {memory}", console)
    if experiment.batch_growth is not None:
        say(f"batch_growth = {experiment.batch_growth}: phases follow on the way", console)


def _from_to(values: TimeFunction, segment: Segment) -> str:
    """A schedule's first and last value in a phase, or the one that both are."""
    first, last = (
        f"{float(values(step)):.4g}" for step in (segment.start_step, segment.end_step - 1)
    )
    return first if first == last else f"{first} → {last}"
