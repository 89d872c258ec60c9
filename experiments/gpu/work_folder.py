"""The working folder of quarter_hour.py: logs, what is done, and an archive of the results."""

import json
import tarfile
from pathlib import Path
from typing import Any

# Records, reports and logs; checkpoints lie deeper.
PACKED = ("*.jsonl", "*/*.*", "*/*/*.jsonl")


class WorkFolder:
    """A working folder.

    Args:
        path: the folder, which is made.
        archive: a .tar.gz of what there is, without checkpoints; None for none.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, archive: Path | None):
        self.path, self._archive, self._stages = path, archive, path / "stages.jsonl"
        (path / "logs").mkdir(parents=True, exist_ok=True)

    def log(self, stage: str) -> Path:
        """Returns the file of a stage's output."""
        return self.path / "logs" / f"{stage}.txt"

    def done(self, size: str) -> set[str]:
        """Returns the stages that have ended well at this size."""
        text = self._stages.read_text(encoding="utf-8") if self._stages.exists() else ""
        entries = [json.loads(line) for line in text.splitlines()]
        return {e["stage"] for e in entries if (e["size"], e["status"]) == (size, 0)}

    def add(self, **entry: Any) -> None:
        """Writes down how a stage ended."""
        with open(self._stages, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def pack(self) -> None:
        """Packs what there is, if that is wanted; a reader never meets half an archive."""
        if self._archive is None:
            return
        self._archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._archive.with_name(f"{self._archive.name}.part")
        with tarfile.open(unfinished, "w:gz") as packed:
            for path in sorted(path for pattern in PACKED for path in self.path.glob(pattern)):
                packed.add(path, path.relative_to(self.path), recursive=False)
        unfinished.replace(self._archive)
