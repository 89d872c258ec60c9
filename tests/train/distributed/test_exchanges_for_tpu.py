"""The exchanges of four TPU chips in an update, by the TPU's own compiler."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

has_libtpu = importlib.util.find_spec("libtpu") is not None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_libtpu, reason="needs libtpu: pip install 'jax[tpu]'"),
]

FEW = 64  # bytes of counts and losses


@pytest.fixture(scope="module")
def found():
    """The exchanges of each case, compiled in a process of its own, for libtpu allows but one."""
    script = Path(__file__).with_name("exchanges_for_tpu.py")
    # The compilation cache cannot read such programs back.
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def sums(exchanges):
    """The bytes by dtype, of an update and of each micro-batch."""
    totals = {}
    for dtype, size, is_in_loop in exchanges:
        totals[dtype, is_in_loop] = totals.get((dtype, is_in_loop), 0) + size
    return totals


@pytest.mark.parametrize("driver", ["jit", "pmap"])
def test_gradients_are_added_up_in_float32_once(found, driver):
    total = sums(found[f"plain, {driver}"])
    assert ("bf16", False) not in total
    statistics = found["gradient"] / 16  # of batch norm, forward and backward
    assert found["gradient"] <= total["f32", False] <= found["gradient"] + statistics + FEW


@pytest.mark.parametrize("driver", ["jit", "pmap"])
def test_half_precision_halves_the_kernels(found, driver):
    total = sums(found[f"half, {driver}"])
    assert total["bf16", False] >= found["kernels"] / 2
    assert total["f32", False] <= found["gradient"] / 8


@pytest.mark.parametrize("driver", ["jit", "pmap"])
def test_micro_batches_exchange_nothing_before_their_sum(found, driver):
    total = sums(found[f"micro, {driver}"])
    assert {is_in_loop for _, is_in_loop in total} == {False}
    assert found["gradient"] <= total["f32", False] <= found["gradient"] * 17 / 16 + FEW


def test_noise_costs_replicas_one_number(found):
    noise, micro = sums(found["noise, pmap"]), sums(found["micro, pmap"])
    assert noise == {**micro, ("f32", False): micro["f32", False] + 4}


def test_noise_costs_the_compiler_one_gradient_a_micro_batch(found):
    """Each micro-batch's norm needs its gradient of all chips, which is then not added up again."""
    total = sums(found["noise, jit"])
    assert total["f32", True] == found["gradient"] and ("bf16", True) not in total
    assert total["f32", False] <= found["gradient"] / 16 + FEW
