"""Places in Python that an instruction stems from, read from the tables of stack frames."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A line of Python that was running when an operation was traced."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


# The frames from the innermost to the outermost; empty where the compiler kept none.
Stack = tuple[Frame, ...]


class SourceTable:
    """A module's stack frames, by number."""

    def __init__(self, header: str):
        """Reads the tables FileNames, FunctionNames, FileLocations and StackFrames."""
        files = _names(_table(header, "FileNames"))
        functions = _names(_table(header, "FunctionNames"))
        locations = _numbers(_table(header, "FileLocations"))
        frames = _numbers(_table(header, "StackFrames"))
        # XLA writes a parent's number one too high: the outermost frame would be its own parent.
        shift = int(all(row.get("parent_frame_id") for row in frames.values()))
        self._parents = {
            number: row.get("parent_frame_id", 0) - shift for number, row in frames.items()
        }
        self._frames = {}
        for number, row in frames.items():
            place = locations[row["file_location_id"]]
            function = functions.get(place.get("function_name_id", 0), "")
            self._frames[number] = Frame(files[place["file_name_id"]], place["line"], function)

    def stack(self, metadata: str) -> Stack:
        """Returns the frames that an instruction's metadata names.

        Args:
            metadata: the text in the braces, with `stack_frame_id=` or, in older programs,
                `source_file=` and `source_line=`.
        """
        inline = re.search(r'source_file="([^"]*)"(?: source_line=(\d+))?', metadata)
        if inline:
            return (Frame(inline[1], int(inline[2] or 0)),)
        named = re.search(r"stack_frame_id=(\d+)", metadata)
        number = int(named[1]) if named else 0
        frames = []
        while number in self._frames:
            frames.append(self._frames[number])
            # A parent stands before its child; anything else would not end.
            number = self._parents[number] if self._parents[number] < number else 0
        return tuple(frames)


def _table(header: str, name: str) -> list[str]:
    found = re.search(rf"^{name}\n((?:\d+ .*\n)*)", header, re.MULTILINE)
    return found[1].splitlines() if found else []


def _names(rows: list[str]) -> dict[int, str]:
    return {
        int(number): name.strip('"') for number, _, name in (row.partition(" ") for row in rows)
    }


def _numbers(rows: list[str]) -> dict[int, dict[str, int]]:
    return {
        int(row.split(" ")[0]): {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", row)}
        for row in rows
    }
