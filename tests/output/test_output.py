"""Files are replaced as a whole or not at all; errors name the file and the remedy."""

import csv
import json
import os
import resource
import signal
import stat
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from jaxsched.output import make_folder, replacing, require_file_name, write_text
from jaxsched.plotting.style import save_figure


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_has_the_usual_rights(tmp_path):
    path = tmp_path / "a.txt"
    usual = tmp_path / "usual"
    usual.touch()
    for text in ("first", "§econd"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    assert names(tmp_path) == ["a.txt", "usual"]


@pytest.mark.parametrize("error", [OSError("no"), ValueError("no"), KeyboardInterrupt()])
def test_after_an_error_the_file_before_is_kept(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(type(error)), replacing(path) as beside:
        beside.write_text("half of")
        raise error
    assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]


@pytest.fixture
def full_disk():
    """Files of this process end at 4,096 bytes: writing on is an error, as on a full disk."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def picture(path):
    figure = Figure()
    figure.subplots().plot(range(9))
    save_figure(figure, path)


def table(path):
    with replacing(path) as beside, beside.open("w", newline="") as file:
        csv.writer(file).writerows([range(100)] * 100)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", lambda path: write_text(path, "x" * 10_000)),
        ("a.csv", table),
        ("a.png", picture),
        ("a.svg", picture),
    ],
)
def test_a_full_disk_keeps_the_file_before_and_is_named(tmp_path, full_disk, name, write):
    path = tmp_path / name
    path.write_text("before")
    with pytest.raises(OSError, match=rf"cannot write {path}: .* The file that was there before"):
        write(path)
    assert path.read_text() == "before" and names(tmp_path) == [name]


def test_a_disk_without_room_says_to_make_room(tmp_path):
    """On a file system that is really full, if this user may mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        path = tmp_path / "a.txt"
        write_text(path, "before")
        with pytest.raises(OSError, match="No space left on device; make room on the disk"):
            write_text(path, "x" * 100_000)
        assert path.read_text() == "before" and names(tmp_path) == ["a.txt"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_no_file_is_written_through_a_link(tmp_path):
    precious, link = tmp_path / "precious", tmp_path / "a.txt"
    precious.write_text("mine")
    link.symlink_to(precious)
    with pytest.raises(OSError, match=f"{link} is a symbolic link to {precious}"):
        write_text(link, "yours")
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match=r"symbolic link to .*nowhere"):
        write_text(link, "yours")
    assert precious.read_text() == "mine" and names(tmp_path) == ["a.txt", "precious"]


def test_the_longest_name_can_be_written_and_a_longer_one_is_named(tmp_path):
    write_text(tmp_path / ("x" * 251 + ".txt"), "fits")
    with pytest.raises(OSError, match="File name too long; use a shorter name"):
        write_text(tmp_path / ("x" * 252 + ".txt"), "")


@pytest.mark.parametrize("parts", [("file",), ("file", "new"), ("file", "new", "er")])
def test_a_folder_that_is_a_file_is_named(tmp_path, parts):
    (tmp_path / "file").touch()
    folder = tmp_path.joinpath(*parts)
    with pytest.raises(OSError, match=rf"{folder}: {tmp_path}/file is a file; move it away"):
        make_folder(folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(OSError, match=r"cannot make the folder /proc/foo: .*; use a folder on a"):
        make_folder(tmp_path.__class__("/proc/foo"))
    with pytest.raises(OSError, match="File name too long; use a shorter name"):
        make_folder(tmp_path / ("x" * 300))
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["quickstart", "made up", "a-b_c.d", "größe", "..a"])
def test_a_plain_name_is_returned(name):
    assert require_file_name("a study", name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", " ", "../x", "/x", "a/b", "a\\b", "a\0", "a\n", "a\x1b[31m", "$x$", "~"]
)
def test_a_name_that_leaves_its_folder_is_refused(name):
    with pytest.raises(ValueError, match="a study needs a name of letters"):
        require_file_name("a study", name)


KILLED = """
import sys, time
from pathlib import Path
from jaxsched.output import replacing
with replacing(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    print("written", flush=True)
    time.sleep(100)
"""


def test_a_process_killed_while_it_writes_leaves_the_file_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps("before"))
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        process.kill()
    assert json.loads(path.read_text()) == "before"
    write_text(path, "after")
    assert path.read_text() == "after"
    assert os.path.getsize(path) == 5
