"""What a command prints on a terminal that is closed meanwhile."""

import os
import pty
import sys

import pytest

from jaxsched.cli.closed_terminal import outlive_terminal


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_lines_to_a_closed_terminal_are_dropped(name, monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, name, terminal)
        outlive_terminal()
        stream = getattr(sys, name)
        print("seen", file=stream)
        assert os.read(ours, 100) == b"seen\r\n"
        os.close(ours)
        with pytest.raises(OSError, match="Input/output error"):
            os.write(theirs, b"as anything else prints it")
        print("dropped", file=stream)
        stream.close()


def test_other_outputs_are_left_as_they_are(tmp_path, monkeypatch):
    with (tmp_path / "log").open("w") as log:
        for output in (None, log):
            monkeypatch.setattr(sys, "stdout", output)
            outlive_terminal()
            assert sys.stdout is output


def test_other_errors_are_still_errors(monkeypatch):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        outlive_terminal()
        with open("/dev/full", "w") as full:
            os.dup2(full.fileno(), sys.stdout.fileno())
        with pytest.raises(OSError, match="No space left"):
            print("x")
        with open(os.devnull, "w") as nowhere:  # for the line that Python has kept
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        sys.stdout.close()
    os.close(ours)
