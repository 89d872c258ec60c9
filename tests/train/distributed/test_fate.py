"""Real processes, connected over loopback, that wait for each other while one of them goes."""

import signal
import socket
import subprocess
import sys
import time

import pytest

WAITS = """
import sys, time
from jaxsched.train.distributed.fate import EndTogether
from jaxsched.train.distributed.processes import connect

def report(error):
    print(f"error: {error}", file=sys.stderr)
    return 2

connect(sys.argv[1], 3, int(sys.argv[2]))
with EndTogether(str, report):
    print("waits", flush=True)
    order = sys.stdin.readline()
    if order == "fail\\n":
        raise ValueError(f"process {sys.argv[2]} has lost its connection")
    if not order:
        time.sleep(300)
"""


@pytest.fixture
def processes():
    """Three connected processes that wait; "fail" or another line makes one fail or finish."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WAITS, address, str(i)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(3)
    ]
    for process in started:
        assert process.stdout.readline() == "waits\n", process.communicate()[1]
    time.sleep(2.0)  # so that their first signs of life are there
    yield started
    for process in started:
        process.kill()
        process.communicate()


def ends(processes):
    """Returns the status and the words of each process; all have to end within a minute."""
    end = time.monotonic() + 60
    words = [process.communicate(timeout=end - time.monotonic())[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, words, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "number"), [(signal.SIGKILL, 2), (signal.SIGKILL, 0), (signal.SIGSTOP, 0)]
)
def test_a_process_that_falls_silent_is_named_by_the_others_within_a_minute(processes, how, number):
    """A process that is stopped is as silent as one whose machine or network has failed."""
    processes[number].send_signal(how)
    for status, text in ends([process for i, process in enumerate(processes) if i != number]):
        assert status not in (0, 2)
        assert f"process {number} has gone without a word" in text


@pytest.mark.slow
def test_one_that_was_killed_is_named_by_those_that_fail_for_it_too(processes):
    """So it is on CPUs, where an exchange with one that has gone soon is an error."""
    processes[1].kill()
    for process in (processes[0], processes[2]):
        process.stdin.write("fail\n")
        process.stdin.flush()
    for status, text in ends([processes[0], processes[2]]):
        assert status == 2
        assert "has lost its connection" in text
        assert "process 1 has gone without a word" in text


@pytest.mark.slow
def test_processes_that_finish_at_different_times_end_in_order(processes):
    for process in processes:
        process.stdin.write("finish\n")
        process.stdin.flush()
        time.sleep(1.0)
    assert [status for status, _ in ends(processes)] == [0] * 3
