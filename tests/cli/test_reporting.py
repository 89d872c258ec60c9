"""What a command has made is reported whatever ends it, and the first error ends it."""

import os

import pytest

from jaxsched.cli.reporting import reported

FULL = OSError("cannot write run.jsonl: the disk is full")


def test_an_error_of_the_report_does_not_hide_the_first(capsys):
    def report():
        raise OSError("cannot write report.html: the disk is full")

    with pytest.raises(OSError, match=r"run\.jsonl"), reported(report):
        raise FULL
    assert "no report: cannot write report.html" in capsys.readouterr().err
    with pytest.raises(OSError, match=r"report\.html"), reported(report):
        pass


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt(), SystemExit(143)])
def test_an_interrupted_command_reports(error):
    made = []
    with pytest.raises(type(error)), reported(lambda: made.append(1)):
        raise error
    assert made == [1]


def test_a_command_that_may_not_start_reports_nothing():
    made = []
    with pytest.raises(BlockingIOError), reported(lambda: made.append(1)):
        raise BlockingIOError(f"process {os.getpid()} makes runs in runs/grid")
    assert made == []
