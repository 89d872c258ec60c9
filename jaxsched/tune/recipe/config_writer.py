"""Writes the config file of a recipe: an experiment, and the reasons for its numbers."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill, indent
from typing import NamedTuple

from jaxsched.experiment import Experiment, source_of
from jaxsched.output import make_folder, write_text
from jaxsched.tune.report import Report

_WIDTH = 96

_CHECKLIST = """\
Before you trust it (Smith, arXiv 1803.09820):

- Look at the test loss early. If it rises while the learning rate is small, the run overfits: use
  more regularisation. If it falls all the way without a plateau, the run underfits: use a larger
  learning rate, a larger network, or less regularisation.
- Balance all regularisation: learning rate, batch size, momentum, weight decay, dropout and
  augmentation add up. With a larger learning rate, reduce the others.
- Take the largest weight decay at which the run still trains at a high learning rate; keep it
  constant, and look for values between two others by bisecting the exponent.
- Take the largest batch that fits in memory; compare batch sizes at equal time, not at equal
  epochs.
- The maximum of the momentum matters, its minimum barely does.
- Another network, data set, batch size or augmentation needs a range test of its own."""


class Reason(NamedTuple):
    """The result of one step of a recipe."""

    title: str
    report: Report
    plot: Path | None = None

    def text(self, width: int) -> str:
        """Returns it for a terminal of this width."""
        return f"{self.title}\n\n{self.report.text(width)}\n"


def write_recipe(
    experiment: Experiment, reasons: Sequence[Reason], origin: str, path: Path
) -> None:
    """Writes a config file that trains the experiment, with the reasons in its docstring.

    Args:
        experiment: the experiment to write.
        reasons: the reasons for its numbers.
        origin: the date and the environment in which it was found.
        path: the file to write, which must not exist yet.

    Raises:
        FileExistsError: when the file exists.
        ValueError: when the experiment cannot be written as source, see `source_of`.
    """
    source, imports = source_of(experiment)
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    parts = [
        f"{experiment.name}: found by `jaxsched recipe`.",
        f"    jaxsched train {shlex.quote(path.name)}",
        *([f"{reasons[-1].title}."] if reasons else []),
        fill(f"Made by `{command}`, {origin}.", _WIDTH),
        *(_reason(reason) for reason in reasons),
        _CHECKLIST,
    ]
    # The text must neither end the docstring nor hold an escape sequence.
    text = "\n\n".join(parts).replace("\\", "/").replace('"""', "'''")
    lines = [f'"""{text}\n"""', "\n".join(_sorted(imports)), f"experiment = {source}"]
    refuse_existing(path)
    make_folder(path.parent)
    write_text(path, "\n\n".join(lines) + "\n")


def refuse_existing(path: Path) -> None:
    """Raises a FileExistsError when there is a file, which must not be lost."""
    if path.exists():
        raise FileExistsError(f"{path} already exists; move it away, or give another --output.")


def _reason(reason: Reason) -> str:
    plot = "" if reason.plot is None else f"\n\n    {reason.plot}"
    # Each line is filled by itself: rows of a table fit and stay whole, long sentences wrap.
    text = "\n".join(fill(line, _WIDTH - 4) for line in reason.report.markdown.splitlines())
    return f"{reason.title}\n\n{indent(text, '    ')}{plot}"


def _sorted(imports: set[str]) -> list[str]:
    """The import lines as a formatter orders them, one line for each module."""
    names: dict[str, list[str]] = {}
    plain = [line for line in imports if line.startswith("import")]
    for line in imports - set(plain):
        _, module, _, name = line.split(" ")
        names.setdefault(module, []).append(name)
    joined = [f"from {module} import {', '.join(sorted(ns))}" for module, ns in names.items()]
    return sorted(plain) + sorted(joined)
