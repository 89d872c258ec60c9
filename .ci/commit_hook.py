"""Hatch runs this when it builds: the commit goes along as jaxsched/commit.txt."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):
    """Adds the file to a wheel or sdist that is built in a checkout.

    A wheel that is built from an sdist finds the file already there. An editable installation has
    none: its code changes, and jaxsched.tracking asks git.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by Hatch before it builds."""
        commit = _commit(Path(self.root)) if version != "editable" else None
        if commit:
            self._folder = tempfile.TemporaryDirectory()
            path = Path(self._folder.name) / "commit.txt"
            path.write_text(commit)
            build_data["force_include"][str(path)] = "jaxsched/commit.txt"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by Hatch after it has built."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _commit(root: Path) -> str | None:
    """The commit of this checkout, ending in -dirty where files were changed since."""
    # An unpacked sdist may lie in a folder of another repository, which is not meant.
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return None
    return result.stdout.strip() or None
