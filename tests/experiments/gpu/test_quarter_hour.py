"""A quarter of an hour, rehearsed for real on a CPU: killed in the middle, it goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from jaxsched.bench import Results

ROOT = Path(__file__).parents[3]
GPU = ROOT / "experiments" / "gpu"
REHEARSAL = ("lr_schedulers_rehearsal", "speedrun_rehearsal", "dont_decay_rehearsal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `data`, files of CIFAR-10's layout with random images."""
    folder = tmp_path_factory.mktemp("rehearsal")
    (folder / "data").mkdir()
    records = np.random.default_rng(0).integers(256, size=(10_000, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    first = folder / "data" / "test_batch.bin"
    first.write_bytes(records.tobytes())
    for number in range(1, 6):
        os.link(first, folder / "data" / f"data_batch_{number}.bin")
    yield folder
    shutil.rmtree(folder)


def start(folder, *command):
    # Compiled quickly: the networks are tiny, and the runs last for a second.
    environment = {"PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def rehearse(folder):
    script = GPU / "quarter_hour.py"
    return start(
        folder, script, "--size", "smoke", "--workdir", "work", "--archive", "out/all.tar.gz"
    )


def ended(process):
    """What it printed, once it has ended well."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def kill(process):
    """Kills the command and what it started, each in a group of its own."""
    subprocess.run(["pkill", "-KILL", "--session", str(process.pid)], check=True)
    process.communicate()


def learned(records):
    """By the name of the file: everything in the rows but the seconds."""
    found = {}
    for path in records.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows = [row for row in rows if "step" in row]
        kept = ("step", "examples", "train_loss", "test_loss", "test_accuracy")
        found[path.name] = [{name: row[name] for name in kept} for row in rows]
    return found


@pytest.mark.slow
def test_a_rehearsal_that_was_killed_goes_on_and_learns_the_same(folder):
    process, records = rehearse(folder), folder / "work" / REHEARSAL[0] / "records"
    deadline = time.monotonic() + 300
    while len(list(records.glob("*.jsonl"))) < 2:  # one has ended, the other has begun
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    kill(process)
    contents = {path: path.read_bytes() for path in records.glob("*.jsonl")}
    (whole,) = (path for path, content in contents.items() if b'"finished"' in content)

    said = ended(rehearse(folder))
    # The throughput was done.
    assert re.findall("(.*): done", said) == ["order", "speedrun", "growth"]
    assert whole.read_bytes() == contents[whole]
    with tarfile.open(folder / "out" / "all.tar.gz") as packed:
        names = packed.getnames()
    for study in REHEARSAL:
        results = Results.read([folder / "work" / study])
        assert len(results.records) == len(results.manifest.runs) == 2
        assert all(f"{study}/records/{run.file_name}" in names for run in results.manifest.runs)

    bench = ("-m", "jaxsched.cli", "bench", GPU / "rehearsal.py", "--size", "lr_schedulers")
    ended(start(folder, *bench, "--workdir", "alone"))
    alone = learned(folder / "alone" / REHEARSAL[0] / "records")
    assert alone == learned(records) and all(alone.values())


@pytest.mark.slow
def test_what_cannot_run_is_refused_with_what_to_do(folder, tmp_path):
    process = start(tmp_path, GPU / "quarter_hour.py", "--workdir", "work")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "expected a GPU, JAX finds only a CPU" in output
    assert not (tmp_path / "work").exists()
    # Without images the throughput is still measured, as far as the minutes go.
    script = (GPU / "quarter_hour.py", "--size", "smoke", "--workdir", "work", "--minutes", "0.01")
    said = ended(start(tmp_path, *script))
    assert "order, speedrun, growth: left out: expected CIFAR-10's official files" in said
    assert "throughput_resnet8: no time is left" in said
