"""Records: what was written stays readable, whatever happened to the writer."""

import json

import pytest

from jaxsched.bench import RecordWriter, read_record

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
    ("text", "message"),
    [
        ('{"kind": "run"}\nnot json\n{"kind": "end"}\n', r"a\.jsonl, line 2: expected a record"),
        ('{"kind": "evaluation"}\n', r"a\.jsonl: expected a line 'run'"),
        ('{"kind": "run"}\n{"kind": "end"}\n{"kind": "evaluation"}\n', r"'evaluation' and a line"),
        ("[1, 2]\n", r"a\.jsonl, line 1: expected a record"),
    ],
)
def test_what_is_no_record_is_named_and_kept(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        RecordWriter(path, HEADER)
    assert path.read_text() == text
