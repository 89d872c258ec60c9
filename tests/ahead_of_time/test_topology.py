import importlib.util

import pytest

from jaxsched.ahead_of_time.chips import GPUS, TPUS
from jaxsched.ahead_of_time.topology import describe_machine


@pytest.mark.parametrize("name", ["", "v5e", "v5e:2x2x2", "v4:2x2", "h100:0", "h100:12", "tpu:4"])
def test_an_unknown_machine_is_refused_with_the_names_of_some(name):
    with pytest.raises(ValueError, match=r"expected a topology, such as v4:2x2x1, .* and cpu, got"):
        describe_machine(name)


@pytest.mark.parametrize(
    ("name", "compilers", "extra"),
    [
        ("v5e:2x2", ("libtpu",), "tpu-compile"),
        ("h100:8", ("jax_cuda12_plugin", "jax_cuda13_plugin"), "gpu-compile"),
    ],
)
def test_a_missing_compiler_is_said_with_what_to_install(name, compilers, extra):
    if any(map(importlib.util.find_spec, compilers)):
        pytest.skip("the compiler is installed here")
    with pytest.raises(ImportError, match=rf"pip install 'jaxsched\[{extra}\]'"):
        describe_machine(name)


def test_no_chip_has_a_name_of_another_or_a_peak_out_of_order():
    assert not TPUS.keys() & GPUS.keys()
    for chip in (*TPUS.values(), *GPUS.values()):
        assert 0 < chip.float32 <= chip.rounded <= chip.bf16
        # From 15 GB up, and a byte for 60 to 600 operations: no figure is off by a thousand.
        assert 15e9 < chip.memory < 150e9
        assert 60 < chip.bf16 / chip.bandwidth < 600
