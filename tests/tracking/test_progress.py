"""Lines on a terminal that is closed while a command prints."""

import os
import pty

import pytest
from rich.console import Console

from jaxsched.tracking.progress import print_line


def test_a_line_to_a_closed_terminal_is_dropped():
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        console = Console(file=terminal)
        print_line("[seen]", console)
        assert os.read(ours, 100) == b"[seen]\r\n"
        os.close(ours)
        with pytest.raises(OSError, match="Input/output error"):
            console.print("as Rich prints it")
        print_line("dropped", console)
        os.dup2(null := os.open(os.devnull, os.O_WRONLY), theirs)  # what Python kept goes there
        os.close(null)


def test_a_full_disk_is_still_an_error():
    with open("/dev/full", "w") as full, pytest.raises(OSError, match="No space left"):
        try:
            print_line("x", Console(file=full))
        finally:
            os.dup2(null := os.open(os.devnull, os.O_WRONLY), full.fileno())
            os.close(null)
