"""The compilers for TPUs and GPUs, in processes of their own: libtpu serves one at a time."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
import jaxsched as js
from jaxsched.data import Cifar10, Streamed
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, CifarResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="small",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=16, norm=BatchNorm(ghost=32)),
        data=Streamed(Cifar10("nowhere")),
    ),
    phases=(js.Phase(epochs=1, batch_size=256),),
    optimizer=js.SGD(js.Cosine(0.1, duration=1), momentum=0.9, averaging=js.Averaging(start=0)),
    precision="bfloat16",
)
"""
ROOT = Path(__file__).parents[2]
# Forwards: the stem, then stages of two layers at 32 × 32, 16 × 16 and 8 × 8 with 16, 32 and 64
# channels, of three gradients' sums; the stem's input needs no gradient. A shortcut is 1 × 1.
_STEM = 2 * 32**2 * 9 * 3 * 16
_STAGES = 2 * 9 * (32**2 * 2 * 16**2 + 16**2 * (16 * 32 + 32**2) + 8**2 * (32 * 64 + 64**2))
_SHORTCUTS = 2 * (16**2 * 16 * 32 + 8**2 * 32 * 64)
MOST_FLOPS = 2 * _STEM + 3 * (_STAGES + _SHORTCUTS + 2 * 64 * 10)
PARAMETERS = 75_290


def needs(*compilers):
    is_there = any(map(importlib.util.find_spec, compilers))
    return pytest.mark.skipif(not is_there, reason=f"{compilers[0]} is not installed here")


TPU, GPU = needs("libtpu"), needs("jax_cuda12_plugin", "jax_cuda13_plugin")


def compiled(folder, *options):
    """The figures and what was printed."""
    config, output = folder / "small.py", folder / "found.json"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "jaxsched.cli", "compile", str(config)]
    result = subprocess.run(
        [*command, *options, "--output", str(output), "--overwrite"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(output.read_text()), result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("driver", ["jit", "pmap"])
@pytest.mark.parametrize(
    ("topology", "chips"),
    [pytest.param("v5e:2x2", 4, marks=TPU), pytest.param("h100:4", 4, marks=GPU)],
)
def test_the_update_of_a_small_network_is_clean(topology, chips, driver, tmp_path):
    found, printed = compiled(tmp_path, "--topology", topology, "--driver", driver)
    update, evaluation, average_stats = found["programs"]
    assert found["chips"] == chips and all(program["fits"] for program in found["programs"])
    # One pass forwards without the last layer; a TPU's compiler makes one layer of pmap's twice.
    once = 0.99 * evaluation["flops"]
    assert once <= average_stats["flops"] <= (1.02 if driver == "jit" else 1.12) * once
    # What lies outside an image is not computed.
    most = 256 // chips * MOST_FLOPS
    assert 0.85 * most < update["flops"] <= most
    half = update["flops_by_dtype"]["bf16"]
    assert half > 0.99 * update["flops"]
    # The state takes the place of the old one, weights and momenta; only the sums are new.
    memory = update["memory"]
    assert memory["aliased"] >= 2 * 4 * PARAMETERS
    assert memory["outputs"] - memory["aliased"] < 4096
    assert {finding["kind"] for finding in update["findings"]} <= {"padded"}
    # The gradients and a few sums, once: batch norm in ghost groups needs no exchange.
    reduced = [one for one in update["exchanges"] if one["kind"] == "all-reduce"]
    assert 2 * PARAMETERS <= sum(one["bytes"] for one in reduced) < 4 * PARAMETERS * 1.1
    assert sum(one["count"] for one in reduced) < 8
    assert update["seconds_at_peak"] == pytest.approx(half / found["chip"]["bf16"], rel=0.05)
    assert max(map(len, printed[printed.index("phase 1: batch") :].splitlines()[:24])) <= 80


@TPU
@pytest.mark.slow
def test_a_batch_that_no_tpu_holds_comes_with_the_limit_that_does(tmp_path):
    # Eight groups of 8,192, of which two programs show how many go together.
    options = ("--phases.0.batch-size", "65536", "--num-examples", "65536")
    network = ("--model.width", "64", "--model.norm.ghost", "8192")
    found, printed = compiled(tmp_path, "--topology", "v5e:1x1", *options, *network)
    update = found["programs"][0]
    assert not update["fits"]
    assert update["remedy"]["setting"] == "max_device_batch"
    assert update["remedy"]["value"] in (8192, 16384, 32768)
    assert "to see whether it fits" in printed


@TPU
@pytest.mark.slow
def test_a_second_process_waits_for_the_first():
    hold = (
        "import sys; from jaxsched.ahead_of_time.topology import describe_machine; "
        "machine = describe_machine('v5e:2x2', lambda text: print(text, flush=True)); "
        "print(len(machine.devices), flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", hold],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    with start() as first:
        assert first.stdout.readline() == "4\n"
        with start() as second:
            assert "another process uses libtpu" in second.stdout.readline()
            first.stdin.close()
            assert second.stdout.readline() == "4\n"
            second.stdin.close()
