"""The folders' order: imports run downwards only, and the library's part is light."""

import ast
import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jaxsched

ROOT = Path(jaxsched.__file__).parent

# The library's parts, from the bottom up; each may import the ones before it.
LIBRARY = (
    "lazy", "extras", "output", "text", "text_table", "field_types", "identity", "metric",
    "file_lock", "schedules", "plan", "transforms", "optim", "batch_size",
)  # fmt: skip
# What the trainer adds.
TRAINER = (*LIBRARY, "models", "data", "tasks", "experiment", "train")
# What each part may import from the package, apart from itself.
ALLOWED = {
    "extras": (),
    "output": (),
    "text": (),
    "text_table": (),
    "field_types": (),
    "lazy": (),
    "identity": (),
    "metric": ("text",),
    "file_lock": ("extras", "output"),
    "schedules": (),
    "plan": ("schedules",),
    "transforms": ("schedules", "plan"),
    "optim": ("identity", "schedules", "plan", "transforms"),
    "batch_size": ("text", "field_types", "schedules", "plan", "transforms", "optim"),
    "compat": ("schedules", "plan", "transforms"),
    "lr_finder": ("text",),
    "models": ("extras", "field_types", "identity"),
    "data": ("extras", "identity"),
    "tasks": ("extras", "field_types", "identity", "metric", "models", "data"),
    "experiment": (*LIBRARY, "models", "data", "tasks"),
    "train": (*LIBRARY, "models", "data", "tasks", "experiment"),
    "ahead_of_time": TRAINER,
    "tracking": TRAINER,
    "fitting": (*TRAINER, "tracking"),
    "plotting": TRAINER,
    # Siblings: neither imports the other.
    "bench": (*TRAINER, "tracking", "plotting"),
    "tune": (*TRAINER, "lr_finder", "tracking", "plotting"),
    "cli": (*TRAINER, "tracking", "plotting", "bench", "tune", "ahead_of_time", "__version__"),
    "__init__": (*LIBRARY, "compat", "lr_finder", "plotting", "tracking", "fitting"),
}


def part(path):
    return path.relative_to(ROOT).parts[0].partition(".")[0]


def imported_parts(path):
    """The parts of the package that a file imports, by its syntax tree."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert node.level == 0, f"{path}: imports are absolute"
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "jaxsched":
                yield rest.split(".")[0]


FILES = sorted((*ROOT.rglob("*.py"), *ROOT.rglob("*.pyi")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards_only(path):
    assert set(imported_parts(path)) <= {*ALLOWED[part(path)], part(path)}


def test_every_part_is_listed_and_real():
    assert {part(path) for path in FILES} == set(ALLOWED)


def imports_of(path):
    tree = ast.walk(ast.parse(path.read_text()))
    for node in tree:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)


def test_statistics_know_no_jax():
    alone = (
        "tracking/records.py",
        "tracking/own_loop.py",
        "bench/study/manifest.py",
        "bench/study/target.py",
        "tune/weight_norm/bounce.py",
    )
    for path in (*(ROOT / name for name in alone), *(ROOT / "bench/statistics").glob("*.py")):
        assert "jax" not in set(imports_of(path)), path


def test_devices_are_named_in_one_folder():
    words = ("jax.pmap", "shard_map", "Mesh(", "jax.distributed", "NamedSharding(")
    naming = {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(word in line for line in code_lines(path) for word in words)
    }
    assert {str(Path(name).parent) for name in naming} == {"train/distributed"}


def code_lines(path):
    """The file without its docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree).splitlines()


HEAVY = (
    "altair", "flax", "grain", "matplotlib", "orbax", "rich", "scipy.stats", "sklearn",
    "tensorflow", "tensorflow_datasets", "tokenizers", "tyro",
)  # fmt: skip


@pytest.mark.parametrize(
    ("imports", "unwanted"),
    [
        ("jaxsched, jaxsched.data", HEAVY),
        # The help of every command: JAX alone takes most of a second.
        ("jaxsched.cli.command_line as c; [c.class_of(n) for n in c.COMMANDS]", ("jax", "numpy")),
    ],
)
def test_import_loads_nothing_heavy(imports, unwanted):
    code = f"import sys, {imports}; print([m for m in {unwanted} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


STUBS = sorted(ROOT.rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.parent.name)
def test_public_names_are_exported_one_by_one(stub):
    """`X as X` is what type checkers take as public; nothing else is in the namespace."""
    tree = ast.parse(stub.read_text())
    exports = [
        alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    assert exports
    assert all(alias.asname == alias.name for alias in exports)


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.parent.name)
def test_public_names_are_found_and_are_no_modules(stub):
    """A module of a name's own name would take its place once it is imported."""
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT.parent).parts))
    assert len(package.__all__) > 10
    for name in package.__all__:
        is_module = isinstance(getattr(package, name), types.ModuleType)
        assert is_module == (stub.parent / name).is_dir(), name
        assert not (stub.parent / f"{name}.py").exists(), name
    with pytest.raises(AttributeError, match="no attribute 'Cosinus'"):
        package.Cosinus  # noqa: B018
