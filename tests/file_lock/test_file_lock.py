"""Locks: released by any death of their process, also where the system has no locks."""

import errno
import fcntl
import subprocess
import sys

import pytest

from jaxsched.file_lock import holder, remove, take, waiting
from jaxsched.tracking import claim_record
from jaxsched.train import Checkpoints

HOLD = """
import errno, fcntl, sys, time
from pathlib import Path
from jaxsched.file_lock import take

def missing(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")

if sys.argv[2] == "without":
    fcntl.flock = missing
lock = take(Path(sys.argv[1]))
print("free" if lock else "held", flush=True)
if sys.argv[3] == "hold":
    time.sleep(300)
"""


def start(path, system, what):
    command = [sys.executable, "-c", HOLD, str(path), system, what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("system", ["with", pytest.param("without", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_after_a_kill_another_process_takes_the_lock(tmp_path, system):
    path = tmp_path / "lock"
    with start(path, system, "hold") as process:
        try:
            assert process.stdout.readline() == "free\n"
            content = path.read_bytes()
            other, _ = start(path, system, "try").communicate()
            assert other == "held\n"
            assert holder(path) == f"process {process.pid}"
            assert path.read_bytes() == content  # nobody writes into a lock
        finally:
            process.kill()
    said, errors = start(path, system, "try").communicate()
    assert (said, errors) == ("free\n", "")


def test_nothing_is_left_of_a_lock_and_its_file_stays_empty(tmp_path):
    path = tmp_path / "new" / ".a.lock"
    lock = take(path)
    assert take(path) is None
    assert path.read_bytes() == b""
    remove(path, lock)
    with waiting(path):
        assert take(path) is None
    remove(path, take(path))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.parametrize("user", [lambda p: claim_record(p / "a.jsonl").__enter__(), Checkpoints])
def test_a_file_system_without_locks_is_named_with_the_remedy(tmp_path, monkeypatch, number, user):
    def flock(*_):
        raise OSError(number, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match=rf"in the folder {tmp_path}: No locks.*another disk, or"):
        user(tmp_path)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"{tmp_path}/file is a file; move it away"):
        Checkpoints(tmp_path / "file" / "run")
