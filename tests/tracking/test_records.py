"""Records: lines that were written stay readable, whatever happens to the writer."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from jaxsched.tracking import RecordWriter, claim_record, read_record, read_records
from jaxsched.tracking.records import Run
from jaxsched.train import Preempted

RESULTS = Path(__file__).parents[2] / "experiments" / "results"


@pytest.fixture
def write(lines):
    def write(path, steps, *, end):
        with RecordWriter(path, lines.header()) as writer:
            for step in steps:
                writer.evaluation(lines.row(step))
            if end:
                writer.end(status="finished", reason="")

    return write


def steps(record):
    return [row["step"] for row in record.evaluations]


def test_a_finished_record_reads_back(tmp_path, write):
    path = tmp_path / "new" / "folder" / "a.jsonl"
    write(path, [1, 2], end=True)
    record = read_record(path)
    assert record.name == "a" and record.header["seed"] == 3
    assert steps(record) == [1, 2]
    assert record.is_complete and record.end["status"] == "finished"
    for line in path.read_text().splitlines():
        json.loads(line)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.jsonl"]  # no lock is left


def test_each_row_is_in_the_file_before_the_run_goes_on(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    with RecordWriter(path, lines.header()) as writer:
        assert not read_record(path).evaluations
        writer.evaluation(lines.row(1))
        assert steps(read_record(path)) == [1]
        assert not read_record(path).is_complete


@pytest.mark.parametrize(("cut", "left"), [(1, [1, 2]), (2, [1]), (5, [1]), (17, [1])])
def test_a_line_torn_by_a_crash_is_left_out(tmp_path, write, cut, left):
    path = tmp_path / "a.jsonl"
    write(path, [1, 2], end=False)
    path.write_bytes(path.read_bytes()[:-cut])
    assert steps(read_record(path)) == left


def test_an_empty_file_is_a_run_that_was_cut_off(tmp_path, write):
    path = tmp_path / "a.jsonl"
    path.touch()
    assert not read_record(path).is_complete
    write(path, [1], end=True)
    assert read_record(path).is_complete


def test_a_run_that_was_cut_off_is_written_anew_but_a_finished_one_is_never_lost(tmp_path, write):
    path = tmp_path / "a.jsonl"
    write(path, [1, 2], end=False)
    write(path, [1], end=True)
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"a\.jsonl holds a finished run; move it away"):
        write(path, [], end=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("out of \x1b[31mmemory\nsee below"), "failed"),
        (OSError("the disk is full"), None),
        (KeyboardInterrupt(), None),
        (Preempted(15, "and saved"), None),
    ],
)
def test_an_error_ends_a_run_which_can_be_run_again(tmp_path, lines, write, error, status):
    path = tmp_path / "a.jsonl"
    with pytest.raises(type(error)), RecordWriter(path, lines.header()) as writer:
        writer.evaluation(lines.row(1))
        raise error
    record = read_record(path)
    assert steps(record) == [1]
    assert record.status == status and record.is_result == (status is not None)
    assert not record.is_complete
    if status:
        assert record.end["reason"] == r"RuntimeError: out of \x1b[31mmemory"
    write(path, [], end=True)
    assert read_record(path).is_complete


def test_an_error_after_the_end_does_not_change_it(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    with pytest.raises(RuntimeError), RecordWriter(path, lines.header()) as writer:
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
        ('"run"\n', r"a\.jsonl, line 1: expected a record"),
        ('{"kind": 3}\n', r"a\.jsonl, line 1: expected a record"),
        ("[" * 100_000 + "\n", r"a\.jsonl, line 1: expected a record"),
        ('{"kind": "run", "seed": ' + "9" * 5000 + "}\n", r"a\.jsonl, line 1: expected a record"),
        ("\0" * 500 + "\n", r"a\.jsonl, line 1: expected a record"),
        ('{"kind": "run", "format": 3}\n', "of format 2 or older, got format 3; update jaxsched"),
    ],
)
def test_a_file_that_is_no_record_is_an_error_and_kept(tmp_path, lines, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        RecordWriter(path, lines.header())
    assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl"]


def old_record(lines, *, header=None, row=None, end=None):
    """The text of a record from before checksums, with changes; None takes a field away."""
    entries = [
        {"kind": "run", **lines.header(), **(header or {})},
        {"kind": "evaluation", **lines.row(1)},
        {"kind": "evaluation", **lines.row(2), **(row or {})},
        {"kind": "end", "status": "finished", "reason": "", **(end or {})},
    ]
    kept = [{k: v for k, v in entry.items() if v != "absent"} for entry in entries]
    return "".join(json.dumps(entry) + "\n" for entry in kept)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"header": {"name": "absent"}}, "line 1: expected name as text, got nothing"),
        ({"header": {"seed": "3"}}, "line 1: expected seed as a whole number .*, got 3"),
        ({"header": {"seed": None}}, "expected seed as a whole number of at least 0, got None"),
        ({"header": {"config": []}}, "expected config as an object"),
        ({"header": {"started": "yesterday"}}, "expected started as a time such as 2026"),
        ({"header": {"environment": {"packages": 3}}}, "expected environment as an object with"),
        ({"row": {"test_accuracy": "absent"}}, "line 3: expected test_accuracy as a number"),
        ({"row": {"test_accuracy": None}}, "line 3: expected test_accuracy .* got None"),
        ({"row": {"test_accuracy": float("nan")}}, "line 3: expected test_accuracy .* got nan"),
        ({"row": {"test_accuracy": True}}, "line 3: expected test_accuracy .* got True"),
        ({"row": {"test_accuracy": 9.3}}, r"test_accuracy as a number within \[0, 1\], got 9.3"),
        ({"row": {"test_loss": 10**400}}, "expected test_loss .* got a number of too many digits"),
        ({"row": {"step": 10**400}}, "expected step as a whole number of at least 1, got a number"),
        ({"row": {"step": 1}}, "line 3: expected a step after 1, got 1"),
        ({"row": {"epoch": 0}}, "expected epoch as a number above 0, got 0"),
        ({"end": {"status": "bored"}}, "line 4: expected status as finished, stopped, diverged"),
        ({"end": {"reason": ["x"]}}, "line 4: expected reason as text"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(tmp_path, lines, changes, message):
    path = tmp_path / "a.jsonl"
    path.write_text(old_record(lines, **changes))
    with pytest.raises(ValueError, match=rf"a\.jsonl.*{message}"):
        read_record(path)


def test_losses_that_are_not_finite_are_text(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    path.write_text(old_record(lines, row={"train_loss": "inf", "learning_rate": None}))
    assert read_record(path).evaluations[1]["train_loss"] == "inf"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "latin-1"])
def test_another_encoding_is_named(tmp_path, lines, encoding):
    path = tmp_path / "a.jsonl"
    text = old_record(lines).replace('"source": ""', '"source": "§"')
    path.write_bytes(text.encode(encoding))
    with pytest.raises(ValueError, match=r"a\.jsonl"):
        read_record(path)


@pytest.fixture
def whole(tmp_path, lines):
    """A record as a run writes it, whose text an editor could change."""
    path = tmp_path / "whole.jsonl"
    with RecordWriter(path, lines.header(source="x = 1\n")) as writer:
        for step in range(1, 30):
            writer.evaluation(lines.row(step, test_accuracy=1 - 1 / (3 * step)))
        writer.end(status="finished", reason="", images_per_second=1234.5)
    return path


def test_every_changed_dropped_doubled_or_moved_line_is_noticed(whole, tmp_path):
    text, draw = whole.read_text(), random.Random(0)
    digits = [i for i, letter in enumerate(text) if letter.isdecimal()]
    changed = []
    for place in draw.sample(digits, 60):
        other = draw.choice([d for d in "0123456789" if d != text[place]])
        changed.append(text[:place] + other + text[place + 1 :])
    every = text.splitlines(keepends=True)
    for number in draw.sample(range(len(every) - 1), 15):
        changed.append("".join(every[:number] + every[number + 1 :]))
        changed.append("".join(every[: number + 1] + every[number:]))
        swapped = [*every[:number], every[number + 1], every[number], *every[number + 2 :]]
        changed.append("".join(swapped))
    changed.append(text.replace(', "crc32"', ', "crc"'))
    changed.append(text.replace('"format": 2, ', ""))
    path, missed = tmp_path / "changed.jsonl", []
    for number, content in enumerate(changed):
        path.write_text(content)
        _, reasons = read_records([path])
        if not reasons:
            missed.append((number, content))
    assert missed == [] and len(changed) == 107


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text[:-1],
        lambda text: text + "\n\n",
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(", ", ",  ").replace("\n", "  \n"),
    ],
)
def test_an_edit_that_changes_nothing_costs_nothing(whole, edit):
    before = read_record(whole)
    whole.write_bytes(edit(whole.read_text()).encode())
    assert read_record(whole) == before


def test_all_committed_records_are_read_also_those_from_before_checksums(tmp_path):
    paths = sorted(RESULTS.glob("*/records/*.jsonl"))
    records, reasons = read_records([*paths, tmp_path / "none.jsonl"])
    assert reasons == [] and len(records) == len(paths) > 400
    pairs = zip(paths, records, strict=True)
    old = [path.parts[-3] for path, record in pairs if "format" not in record.header]
    assert Counter(old) == {"speedrun": 60, "abel": 32, "abel_rates": 18}
    assert all(record.is_complete for record in records)


def test_a_text_of_others_holds_no_command_for_a_terminal(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    path.write_text(old_record(lines, end={"reason": "\x1b]0;x\x07 \u202eevil\udc80"}))
    assert read_record(path).end["reason"] == r"\x1b]0;x\x07 \u202eevil\udc80"


def test_only_one_process_writes_a_record(tmp_path, lines, write):
    path = tmp_path / "a.jsonl"
    with RecordWriter(path, lines.header()) as writer:
        with pytest.raises(BlockingIOError, match=rf"process {os.getpid()} writes .*a\.jsonl"):
            write(path, [1], end=True)
        writer.evaluation(lines.row(1))
    assert steps(read_record(path)) == [1]
    with claim_record(path), RecordWriter(path, lines.header(), is_claimed=True) as writer:
        writer.end(status="finished", reason="")
    assert read_record(path).is_complete


def test_no_record_is_written_through_a_link(tmp_path, write):
    precious = tmp_path / "precious"
    precious.touch()
    (tmp_path / "a.jsonl").symlink_to(precious)
    with pytest.raises(OSError, match=r"a\.jsonl is a symbolic link to .*precious"):
        write(tmp_path / "a.jsonl", [1], end=True)
    assert precious.read_bytes() == b""


@pytest.mark.parametrize("name", ["../../x", "/x", "", "a\nb", "x" * 260])
def test_a_run_has_a_file_name_in_its_folder(name):
    if name:
        with pytest.raises(ValueError, match=r"needs a name of letters|shorten the name by 26 byt"):
            Run(name, "0" * 8, 3).file_name  # noqa: B018
    else:
        assert Run(name, "0" * 8, 3).file_name == "-00000000-seed3.jsonl"


FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from jaxsched.tracking import RecordWriter

header, row = json.loads(sys.argv[2])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # files end at 4000 bytes, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
with RecordWriter(Path(sys.argv[1]), header) as writer:
    for step in range(1, 100):
        writer.evaluation({**row, "step": step})
"""


def test_a_full_disk_is_an_error_and_the_lines_before_are_kept(tmp_path, lines):
    path = tmp_path / "a.jsonl"
    content = json.dumps([lines.header(), lines.row(1)])
    command = [sys.executable, "-c", FULL_DISK, str(path), content]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"OSError: cannot write to {path}" in result.stderr
    assert "make room and run the same command again" in result.stderr
    record = read_record(path)
    assert not record.is_complete
    assert steps(record) == list(range(1, len(record.evaluations) + 1))
    assert len(record.evaluations) > 5
