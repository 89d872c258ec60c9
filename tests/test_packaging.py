"""The files of a build, and the commits that a record names."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import jaxsched
from jaxsched.cli import main
from jaxsched.tracking import environment

ROOT = Path(jaxsched.__file__).parents[1]


def git(folder, *arguments):
    identity = {
        f"GIT_{who}_{what}": "someone@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    result = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=os.environ | identity,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def commit_all(folder):
    """Makes a repository of the folder and returns its commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_the_version_is_printed(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"jaxsched {jaxsched.__version__}\n"


def test_help_lists_commands_with_their_docstrings_but_does_not_import_them():
    code = """
import sys
from jaxsched.cli import main
try:
    main(["--help"])
finally:
    print([name for name in ("flax", "orbax", "matplotlib", "altair") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Trains one experiment and writes its record." in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"


def test_the_commit_of_the_config_is_recorded(tmp_path, monkeypatch):
    config = tmp_path / "config.py"
    config.write_text("")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/jaxsched", "train", str(config), "--seed", "1"])
    assert environment()["source_commit"] is None
    commit = commit_all(tmp_path)
    assert environment()["source_commit"] == commit
    config.write_text("changed = True")
    assert environment()["source_commit"] == f"{commit}-dirty"


def test_the_script_is_a_source_and_the_package_itself_is_none(tmp_path, monkeypatch):
    script = tmp_path / "study.py"
    script.write_text("")
    commit = commit_all(tmp_path)
    own = str(ROOT / "jaxsched/cli/__main__.py")
    monkeypatch.setattr(sys, "argv", [own, "report", "runs"])
    assert environment()["source_commit"] is None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["study.py"])
    assert environment()["source_commit"] == commit


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A repository of this tree's files, and its commit."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (".ci", "pyproject.toml", "README.md", "jaxsched", ".gitignore"):
        subprocess.run(["cp", "-r", ROOT / name, folder], check=True)
    return folder, commit_all(folder)


def build_wheel(source, into):
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", into, source], check=True)
    (wheel,) = into.glob("*.whl")
    return wheel


def commit_in(wheel):
    return zipfile.ZipFile(wheel).read("jaxsched/commit.txt").decode()


def built_sdist(source, tools, into):
    """Pip builds none, so Hatch is called for it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", tools, "hatchling"]
    subprocess.run(pip, check=True)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", into]
    subprocess.run(build, cwd=source, env=os.environ | {"PYTHONPATH": str(tools)}, check=True)
    (sdist,) = into.glob("*.tar.gz")
    return sdist


@pytest.mark.slow
def test_wheels_know_their_commit_also_by_way_of_an_sdist(checkout, tmp_path):
    source, commit = checkout
    wheel = build_wheel(source, tmp_path / "clean")
    names = zipfile.ZipFile(wheel).namelist()
    assert "jaxsched/py.typed" in names
    assert not [name for name in names if not re.match(r"jaxsched(-[\d.]+\.dist-info)?/", name)]
    assert commit_in(wheel) == commit

    sdist = built_sdist(source, tmp_path / "tools", tmp_path / "sdist")
    # It is unpacked within another repository, whose commit is not the package's.
    git(tmp_path, "init", "--quiet")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert commit_in(build_wheel(unpacked, tmp_path / "from_sdist")) == commit

    (source / "README.md").write_text("changed")
    try:
        assert commit_in(build_wheel(source, tmp_path / "dirty")) == f"{commit}-dirty"
    finally:
        git(source, "checkout", "--quiet", "README.md")


@pytest.fixture(scope="module")
def installed(checkout, tmp_path_factory):
    """The Python of an environment with the package, not editable, within a user's repository."""
    project = tmp_path_factory.mktemp("project")
    (project / ".gitignore").write_text(".venv/\n")
    (project / "config.py").write_text("")
    commit_all(project)
    subprocess.run([sys.executable, "-m", "venv", project / ".venv"], check=True)
    python = project / ".venv/bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, build_wheel(checkout[0], project / ".venv/wheel")], check=True)
    # All other packages are those that run this test.
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib"))
    return python


def run_in_project(python, *arguments):
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    project = python.parents[2]
    result = subprocess.run(
        [*arguments], cwd=project, env=outside, capture_output=True, text=True, check=True
    )
    return result.stdout


@pytest.mark.slow
def test_an_installed_package_records_its_own_commit_and_the_users(checkout, installed):
    code = (
        "from jaxsched.tracking import environment as e; print(e()['commit'], e()['source_commit'])"
    )
    own, users = run_in_project(installed, installed, "-c", code, "config.py").split()
    assert own == checkout[1]
    assert users == git(installed.parents[2], "rev-parse", "--short=12", "HEAD")
    # Built without git, it knows no commit, and takes not the user's for its own.
    (built_from,) = (installed.parents[1]).rglob("jaxsched/commit.txt")
    text = built_from.read_text()
    built_from.unlink()
    try:
        assert run_in_project(installed, installed, "-c", code).split() == ["None", "None"]
    finally:
        built_from.write_text(text)
