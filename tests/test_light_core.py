"""`jaxsched` without extras, here by hiding what they bring; .ci/core does it for real."""

import ast
import importlib.util
import subprocess
import sys
import textwrap
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import jaxsched

PACKAGE = Path(jaxsched.__file__).parent
ROOT = PACKAGE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {"jax", "numpy", "optax"}


def brought_by(extra):
    """The packages that an extra names, by itself or through another one."""
    names = set()
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        if requirement.name == "jaxsched":
            names = names.union(*map(brought_by, requirement.extras))
        else:
            names.add(requirement.name.lower())
    return names


def package_of(module):
    """The packages that hold a module: several share a namespace."""
    return {name.lower() for name in metadata.packages_distributions()[module.split(".")[0]]}


def modules_of(packages):
    """The modules that only these packages, of all that are installed, hold."""
    return {
        module
        for module, names in metadata.packages_distributions().items()
        if {name.lower() for name in names} <= packages
    }


# Hundreds of megabytes each, without which the rest is tested.
NOT_IN_TEST = {"ray", "slurm", "tpu-compile", "gpu-compile"}


def is_installed(modules):
    return all(importlib.util.find_spec(module) for module in modules)


def calls_of_require_extra():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require_extra":
                extra, *modules = map(ast.literal_eval, node.args[1:])
                yield pytest.param(extra, modules, id=f"{path.relative_to(PACKAGE)}-{extra}")


@pytest.mark.slow
@pytest.mark.parametrize(("extra", "modules"), list(calls_of_require_extra()))
def test_an_extra_brings_what_is_asked_of_it(extra, modules):
    assert modules
    if extra in NOT_IN_TEST and not is_installed(modules):
        pytest.skip(f"needs the extra [{extra}], which [test] does not bring")
    for module in modules:
        assert package_of(module) & brought_by(extra), module


def third_party_imports():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                yield node.module.split(".")[0]
            elif isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)


@pytest.mark.slow
def test_every_import_is_of_the_core_or_an_extra():
    declared = CORE.union(*map(brought_by, PROJECT["optional-dependencies"]))
    asked = (call.values for call in calls_of_require_extra() if call.values[0] in NOT_IN_TEST)
    absent = {module for _, modules in asked for module in modules if not is_installed([module])}
    for module in set(third_party_imports()) - {"jaxsched", *absent, *sys.stdlib_module_names}:
        assert package_of(module) & declared, module


def test_the_core_has_three_packages_and_no_cap():
    requirements = list(map(Requirement, PROJECT["dependencies"]))
    assert {requirement.name for requirement in requirements} == CORE
    for extra in PROJECT["optional-dependencies"].values():
        requirements += map(Requirement, extra)
    for requirement in requirements:
        assert {part.operator for part in requirement.specifier} <= {">="}, requirement


def run_without(packages, code, **options):
    """Runs code in a Python in which the modules of these packages cannot be imported."""
    hiding = f"import sys\nsys.modules.update(dict.fromkeys({sorted(modules_of(packages))}))\n"
    return subprocess.run(
        [sys.executable, "-c", hiding + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        **options,
    )


def test_what_needs_an_extra_names_it():
    code = """
        import importlib
        import jaxsched as js, jaxsched.data
        from jaxsched.cli import main
        js.OneCycle(0.1, duration=10)(3.0)
        for use in (
            *(lambda name=name: importlib.import_module(name) for name in (
                "jaxsched.models", "jaxsched.experiment", "jaxsched.train", "jaxsched.tune",
                "jaxsched.bench",
            )),
            lambda: importlib.import_module("jaxsched.tracking").record_run,
            lambda: js.recorder,
            lambda: js.plot(js.Constant(0.1), 10),
            lambda: js.fit(None, None),
            lambda: jaxsched.data.Digits().load(),
        ):
            try:
                use()
            except ImportError as error:
                print(error)
        main(["train", "a.py"])
    """
    everything = set().union(*map(brought_by, PROJECT["optional-dependencies"]))
    # JAX needs SciPy, and Optax Abseil.
    result = run_without(everything - {*CORE, "scipy", "absl-py"}, code)
    end = "which the extra [{0}] brings: pip install 'jaxsched[{0}]'"
    assert result.stdout.splitlines() == [
        f"jaxsched.models needs flax, {end.format('train')}",
        f"jaxsched.experiment needs flax, {end.format('train')}",
        f"jaxsched.train needs flax, {end.format('train')}",
        f"jaxsched.tune needs matplotlib, {end.format('tune')}",
        f"jaxsched.bench needs altair, {end.format('bench')}",
        f"jaxsched.tracking needs flax, {end.format('train')}",
        f"A lock on a file needs filelock, {end.format('train')}",
        f"plot needs matplotlib, {end.format('plot')}",
        f"js.fit needs flax, {end.format('train')}",
        f"Digits needs sklearn, {end.format('train')}",
    ], result.stderr
    assert result.returncode == 2
    assert result.stderr == f"error: The jaxsched command needs tyro, {end.format('train')}\n"


CONFIG = """
import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="tiny",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=2),
        data=Synthetic(num_train=32, num_test=16),
    ),
    phases=(js.Phase(epochs=1, batch_size=16),),
    optimizer=js.SGD(js.OneCycle(0.1, duration=1)),
    num_devices=1,
)
"""


def without_but(*extras):
    others = set().union(*map(brought_by, PROJECT["optional-dependencies"]))
    return others.difference(CORE, {"scipy"}, *map(brought_by, extras))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "commands"),
    [
        ("train", ("train",)),
        ("tune", ("train", "plot", "diagnose", "range_test", "grid", "recipe")),
        ("bench", ("train", "plot", "diagnose", "range_test", "grid", "recipe", "bench", "report")),
    ],
)
def test_commands_need_their_extra_alone(extra, commands):
    imports = "".join(f"import jaxsched.cli.runs.{command}\n" for command in commands)
    hidden = without_but(extra) - {"pillow"}  # Matplotlib needs it
    result = run_without(hidden, imports)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_trainer_trains_with_its_extra_alone(tmp_path):
    (tmp_path / "tiny.py").write_text(CONFIG)
    code = "from jaxsched.cli import main; main(['train', 'tiny.py', '--workdir', 'out'])"
    result = run_without(without_but("train"), code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "finished; record in" in result.stdout
