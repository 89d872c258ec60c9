"""The config file that a recipe writes: an experiment, and why it is as it is."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill, indent
from typing import NamedTuple

from jaxsched.experiment import Experiment
from jaxsched.experiment.to_source import source_of

_WIDTH = 96

_CHECKLIST = """\
Before you trust it (Smith, arXiv 1803.09820):

- Look at the test loss early. Does it rise while the learning rate is small? That is overfitting:
  more regularisation. Does it fall all the way without a plateau? That is underfitting: a larger
  rate, a larger network, or less regularisation.
- All regularisation is to be balanced: learning rate, batch size, momentum, weight decay, dropout
  and augmentation add up. With a larger learning rate the others have to give way.
- The larger the weight decay at which the run still trains at a high rate, the better; keep it
  constant, and look between two values by bisecting the exponent.
- The batch as large as memory takes; compare batch sizes at equal time, not at equal epochs.
- The maximum of the momentum matters, its minimum barely does.
- Another network, data set, batch size or augmentation wants a range test of its own."""


class Reason(NamedTuple):
    """What one step of a recipe found."""

    title: str
    text: str  # a table and sentences; its lines are kept
    picture: Path | None = None


def write_recipe(
    experiment: Experiment, reasons: Sequence[Reason], origin: str, path: Path
) -> None:
    """Writes a config file that trains the experiment, with the reasons in its docstring.

    Args:
        experiment: what was found.
        reasons: for its numbers.
        origin: what it was found with.
        path: of the file, which must not be there yet.

    Raises:
        FileExistsError: when it is.
        ValueError: when the experiment cannot be written as source, see `source_of`.
    """
    source, imports = source_of(experiment)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    parts = [
        f"{experiment.name}: what a range test and short runs found.",
        f"    jaxsched train {shlex.quote(path.name)}",
        fill(f"Made by `{command}`, {origin}.", _WIDTH),
        *(_reason(reason) for reason in reasons),
        _CHECKLIST,
    ]
    # What stands in quotes must not end them, nor begin an escape.
    text = "\n\n".join(parts).replace("\\", "/").replace('"""', "'''")
    lines = [f'"""{text}\n"""', "\n".join(_sorted(imports)), f"experiment = {source}"]
    with path.open("x", encoding="utf-8") as file:
        file.write("\n\n".join(lines) + "\n")


def _reason(reason: Reason) -> str:
    picture = "" if reason.picture is None else f"\n\n    {reason.picture}"
    # Tables keep their lines; sentences are longer than a line.
    text = "\n".join(fill(line, _WIDTH - 4) for line in reason.text.splitlines())
    return f"{reason.title}\n\n{indent(text, '    ')}{picture}"


def _sorted(imports: set[str]) -> list[str]:
    """Import lines as a formatter orders them, those of one module in one line."""
    names: dict[str, list[str]] = {}
    plain = [line for line in imports if line.startswith("import")]
    for line in imports - set(plain):
        _, module, _, name = line.split(" ")
        names.setdefault(module, []).append(name)
    gathered = [f"from {module} import {', '.join(sorted(of))}" for module, of in names.items()]
    return sorted(plain) + sorted(gathered)
