"""Stand-ins for the commands of a cluster: each logs its arguments, one call a line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A shell cannot trap a signal that was ignored when it started, and the tests themselves may run in
# the background or under nohup.
HEED_SIGNALS = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""
SCRIPTS = Path(__file__).parents[3] / "experiments" / "cluster"


class Cluster:
    """A folder of commands that come first on PATH, and the log of their calls."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        (folder / "bin").mkdir()
        self.environment = os.environ | {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "CLUSTER": str(folder),
        }

    def command(self, name, body):
        """Writes a command, in bash."""
        path = self.folder / "bin" / name
        # In JSON, so that arguments with spaces and line breaks can be told apart.
        log = """python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@" """
        path.write_text(f'#!/bin/bash\n{log} >> "$CLUSTER/log"\n{body}\n')
        path.chmod(0o755)

    def calls(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def start(self, script, *arguments, **environment):
        return subprocess.Popen(
            [sys.executable, "-c", HEED_SIGNALS, "bash", str(SCRIPTS / script), *arguments],
            env=self.environment | environment,
            cwd=SCRIPTS.parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script, *arguments, **environment):
        """Returns the exit code and what was printed as errors."""
        process = self.start(script, *arguments, **environment)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def interrupt(self, process, number, after, *, whole_group):
        """Sends a signal once a call is logged that holds the text; returns the exit code."""
        deadline = time.monotonic() + 30
        while not any(after in " ".join(call) for call in self.calls()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        time.sleep(0.2)  # the command that is logged begins to wait
        os.killpg(process.pid, number) if whole_group else os.kill(process.pid, number)
        process.communicate(timeout=30)
        return process.returncode


@pytest.fixture
def cluster(tmp_path):
    running = Cluster(tmp_path)
    yield running
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(int((tmp_path / "waiting").read_text()), signal.SIGKILL)
