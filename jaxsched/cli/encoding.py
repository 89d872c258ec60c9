"""Lets the commands print on terminals and into files that cannot encode all characters."""

import codecs
import io
import sys
from typing import Any

_PLAIN = {
    "→": "->",
    "±": "+-",
    "\N{MULTIPLICATION SIGN}": "x",
    "…": "...",
    "²": "^2",
    "│": "|",
    "─": "-",
}


def replace_unencodable() -> None:
    """Lets stdout and stderr replace what they cannot encode, where they would raise an error."""
    codecs.register_error("jaxsched.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        # A notebook or a test may have put anything there.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="jaxsched.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replaces the characters that cannot be encoded; "?" for those without a likeness in ASCII."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(map(_likeness, lost)), error.end


def _likeness(letter: str) -> str:
    is_frame = "\u2500" <= letter <= "\u257f"
    return _PLAIN.get(letter, "+" if is_frame else "?")


def can_draw(stream: Any) -> bool:
    """Returns whether a stream can encode the dots of a plot."""
    try:
        "⠿".encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
