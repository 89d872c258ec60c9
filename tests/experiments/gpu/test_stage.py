"""Stages, with commands of the shell."""

import os
import sys
import time

import pytest
from stage import Stage


def run(command, log, seconds=20.0):
    stage = Stage("some", ["sh", "-c", command])
    return stage.run(seconds, log, dict(os.environ), look=lambda: None)


@pytest.mark.parametrize("status", [0, 3])
def test_exit_status_is_the_command_s_and_its_output_is_added(tmp_path, status):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    assert run(f"echo out; echo err >&2; exit {status}", log) == status
    assert log.read_text() == "before\nout\nerr\n"


def test_a_stage_is_cut_off_with_the_processes_that_it_started(tmp_path):
    log, start = tmp_path / "log.txt", time.monotonic()
    assert run("sleep 60 & echo $!; wait", log, seconds=0.3) is None
    assert time.monotonic() - start < 30
    child = int(log.read_text())
    deadline = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_that_heeds_no_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["stage"], "GRACE_SECONDS", 0.2)
    log, start = tmp_path / "log.txt", time.monotonic()
    assert run("trap '' TERM; echo ready; while true; do sleep 1; done", log, seconds=1.0) is None
    assert time.monotonic() - start < 30
    assert log.read_text() == "ready\n"


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:  # a zombie waits for its parent
        return stat.read().rpartition(")")[2].split()[0] != "Z"
