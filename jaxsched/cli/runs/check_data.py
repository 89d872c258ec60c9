"""`jaxsched check-data`: can every image be read?"""

import sys

from rich.console import Console

from jaxsched import tracking
from jaxsched.cli.commands.check_data import CheckData
from jaxsched.cli.exit_status import ExitStatus
from jaxsched.cli.options import Given
from jaxsched.cli.printing import print_line
from jaxsched.data import ReadWorkers, StreamedImages, find_unreadable


def run(given: Given[CheckData], console: Console) -> None:
    """Runs the command."""
    options = given.options
    data = tracking.load(given.experiment.task.data)
    splits = {"train": data.train, data.evaluated_on: data.test}
    streamed = {n: split for n, split in splits.items() if isinstance(split, StreamedImages)}
    errors: dict[str, list[str]] = {name: [] for name in splits}
    with (
        ReadWorkers(list(streamed.values()), options.read_workers) as workers,
        tracking.Progress(console) as progress,
    ):
        progress.start(sum(map(len, streamed.values())))
        for name, split in streamed.items():
            progress.show(name)
            errors[name] = find_unreadable(split, workers, on_read=progress.advance)
    for name, found in errors.items():
        for error in found:
            print_line(error, console)
        total = len(splits[name])
        print_line(f"{name}: {total:,} images, {len(found):,} cannot be read", console)
    if any(errors.values()):
        sys.exit(ExitStatus.FAILED)
