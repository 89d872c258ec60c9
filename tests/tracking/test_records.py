"""Records: lines that were written stay readable, whatever happens to the writer."""

import json
import subprocess
import sys

import pytest

from jaxsched.tracking import RecordWriter, read_record
from jaxsched.train import Preempted

HEADER = {"name": "a", "seed": 3}


def write(path, rows, *, end):
    with RecordWriter(path, HEADER) as writer:
        for row in rows:
            writer.evaluation(row)
        if end:
            writer.end(status="finished", reason="")


def test_a_finished_record_reads_back(tmp_path):
    path = tmp_path / "new" / "folder" / "a.jsonl"
    write(path, [{"step": 1}, {"step": 2}], end=True)
    record = read_record(path)
    assert record.name == "a" and record.header["seed"] == 3
    assert [row["step"] for row in record.evaluations] == [1, 2]
    assert record.is_complete and record.end["status"] == "finished"
    for line in path.read_text().splitlines():
        json.loads(line)


def test_each_row_is_in_the_file_before_the_run_goes_on(tmp_path):
    path = tmp_path / "a.jsonl"
    with RecordWriter(path, HEADER) as writer:
        assert not read_record(path).evaluations
        writer.evaluation({"step": 1})
        assert [row["step"] for row in read_record(path).evaluations] == [1]
        assert not read_record(path).is_complete


@pytest.mark.parametrize("cut", [1, 5, 17])
def test_a_line_torn_by_a_crash_is_left_out(tmp_path, cut):
    path = tmp_path / "a.jsonl"
    write(path, [{"step": 1}, {"step": 2}], end=False)
    path.write_bytes(path.read_bytes()[:-cut])
    assert [row["step"] for row in read_record(path).evaluations] == [1]


def test_an_empty_file_is_a_run_that_was_cut_off(tmp_path):
    path = tmp_path / "a.jsonl"
    path.touch()
    assert not read_record(path).is_complete
    write(path, [{"step": 1}], end=True)
    assert read_record(path).is_complete


def test_a_run_that_was_cut_off_is_written_anew_but_a_finished_one_is_never_lost(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, [{"step": 1}, {"step": 2}], end=False)
    write(path, [{"step": 1}], end=True)
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.jsonl holds a finished run; move it away"):
        write(path, [], end=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("out of memory\nsee below"), "failed"),
        (OSError("the disk is full"), None),
        (KeyboardInterrupt(), None),
        (Preempted(15, "and saved"), None),
    ],
)
def test_an_error_ends_a_run_which_can_be_run_again(tmp_path, error, status):
    path = tmp_path / "a.jsonl"
    with pytest.raises(type(error)), RecordWriter(path, HEADER) as writer:
        writer.evaluation({"step": 1})
        raise error
    record = read_record(path)
    assert [row["step"] for row in record.evaluations] == [1]
    assert record.status == status and record.is_result == (status is not None)
    assert not record.is_complete
    if status:
        assert record.end["reason"] == "RuntimeError: out of memory"
    write(path, [], end=True)
    assert read_record(path).is_complete


def test_an_error_after_the_end_does_not_change_it(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(RuntimeError), RecordWriter(path, HEADER) as writer:
        writer.end(status="finished", reason="")
        raise RuntimeError
    assert read_record(path).status == "finished"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "run"}\nnot json\n{"kind": "end"}\n', r"a\.jsonl, line 2: expected a record"),
        ('{"kind": "evaluation"}\n', r"a\.jsonl: expected a line 'run'"),
        ('{"kind": "run"}\n{"kind": "end"}\n{"kind": "evaluation"}\n', r"'evaluation' and a line"),
        ("[1, 2]\n", r"a\.jsonl, line 1: expected a record"),
    ],
)
def test_a_file_that_is_no_record_is_an_error_and_kept(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        RecordWriter(path, HEADER)
    assert path.read_text() == text


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from jaxsched.tracking import RecordWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # files end at 400 bytes, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
with RecordWriter(Path(sys.argv[1]), {"name": "a"}) as writer:
    for step in range(100):
        writer.evaluation({"step": step})
"""


def test_a_full_disk_is_an_error_and_the_lines_before_are_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"OSError: cannot write to {path}" in result.stderr
    assert "make room and run the same command again" in result.stderr
    record = read_record(path)
    assert not record.is_complete
    assert [row["step"] for row in record.evaluations] == list(range(len(record.evaluations)))
    assert len(record.evaluations) > 5
