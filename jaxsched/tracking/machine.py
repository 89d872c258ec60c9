"""The machine and the commits of a measurement, as far as no framework is asked. Imports no JAX."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[1]


def machine(versions: Mapping[str, str]) -> dict[str, Any]:
    """Returns the commits and the hardware, as JSON, with the versions of packages."""
    return {
        "packages": dict(versions),
        "commit": _commit(),
        "source_commit": _source_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _commit() -> str | None:
    """Returns the commit that the package was built from, or of the checkout that it runs from."""
    built_from = _PACKAGE / "commit.txt"  # written by .ci/commit_hook.py
    if built_from.exists():
        return built_from.read_text(encoding="utf-8")
    # An environment may lie in a repository of the user's, whose commit says nothing about us.
    if _git(_PACKAGE, "ls-files", "__init__.py") is None:
        return None
    return _commit_of(_PACKAGE)


def _source_commit() -> str | None:
    """Returns the commit of the repository that the config, the study or the script lies in.

    This is the first Python file on the command line that is not one of ours.
    """
    for argument in sys.argv:
        path = Path(argument).absolute()
        if path.suffix == ".py" and path.is_file() and not path.is_relative_to(_PACKAGE):
            return _commit_of(path.parent)
    return None


def _commit_of(folder: Path) -> str | None:
    """Returns the commit of the checkout, ending in -dirty where files were changed since."""
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    """Returns what git prints; None if that is nothing, or if the folder is in no repository."""
    command = ["git", *arguments]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # git is not installed
        return None
    return result.stdout.strip() or None


def _processor() -> str:
    """Returns the name of the processor. Python itself does not know it on Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
