"""`jaxsched plot`: schedules before anything is trained."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from jaxsched import tracking
from jaxsched.cli.commands.plot import Plot
from jaxsched.cli.encoding import can_draw
from jaxsched.cli.errors import in_words
from jaxsched.cli.options import Given
from jaxsched.cli.paths import require_new_file
from jaxsched.cli.printing import print_line, print_path, print_plan
from jaxsched.cli.set_aside import set_aside
from jaxsched.experiment import Experiment, Preview, require_computable
from jaxsched.output import make_folder
from jaxsched.plan import Plan
from jaxsched.plotting.previews import draw_schedules, image_suffixes, text_schedules


def run(given: Sequence[Given[Plot]], console: Console) -> None:
    """Runs the command."""
    options = given[0].options
    if options.output is not None:
        _require_free(options.output, overwrite=options.overwrite)
    previews = {}
    for one in given:
        plan = _plan(one.experiment, options.num_examples, console)
        print_plan(one.experiment, plan, console)
        # Files may share an experiment's name; the name of the file tells them apart then.
        names = (one.experiment.name, one.config.stem, str(one.config))
        name = next((name for name in names if name not in previews), names[-1])
        previews[name] = Preview.of(one.experiment, plan)
    path = options.output or _own_path([one.experiment for one in given], options)
    if options.output is None:
        make_folder(path.parent)
    elif folder := set_aside([path]):
        print_line(f"the earlier {path.name} is kept in {folder}", console)
    draw_schedules(previews, path)
    dots, colour = can_draw(sys.stdout), console.is_terminal
    print(text_schedules(previews, width=console.width, colour=colour, dots=dots))
    print_path("plot in", path, console)


def _require_free(output: Path, *, overwrite: bool) -> None:
    """Refuses an image file that cannot be written, or that is there already."""
    require_new_file(output, image_suffixes())
    if output.exists() and not overwrite:
        raise FileExistsError(
            f"{output} already exists; give another --output, or --overwrite, which sets it aside."
        )


def _plan(experiment: Experiment, num_examples: int | None, console: Console) -> Plan:
    """The experiment's plan, without its data wherever their number is known."""
    data = experiment.task.data
    known = data.known_num_train if num_examples is None else num_examples
    if known is not None:
        print_line(f"{experiment.name}: {known:,} training examples, which are not read", console)
    else:
        try:
            known = len(tracking.load(data).train)
        except (ValueError, OSError, ImportError) as error:
            raise ValueError(
                f"{in_words(error)} A plot needs only the number of the training examples: "
                "--num-examples N draws it without them."
            ) from error
    plan = experiment.plan(known)
    require_computable(experiment, plan)
    return plan


def _own_path(experiments: Sequence[Experiment], options: Plot) -> Path:
    """The image's path, which is another one for any other experiments and number of examples."""
    number = "" if options.num_examples is None else f"-{options.num_examples}"
    records = [tracking.record_path(options.workdir, e, e.seed) for e in experiments]
    if len(records) == 1:
        return records[0].with_suffix("") / f"schedules{number}.png"
    names = "\n".join(record.name for record in records)
    digest = hashlib.sha256(names.encode()).hexdigest()[:12]
    return options.workdir / f"schedules-{digest}{number}.png"
