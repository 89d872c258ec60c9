"""GPUs that are only described: the CUDA plugin compiles for them without a driver or cuDNN."""

import importlib.util
import os
from typing import Any

import jax
from jax.experimental import topologies

from jaxsched.ahead_of_time.chips import Gpu
from jaxsched.extras import require_extra

_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_ON_A_HOST = 8


def gpu_devices(chip: Gpu, count: int) -> tuple[Any, ...]:
    """Returns the devices of hosts of 8 GPUs, or of one with fewer.

    Args:
        chip: the GPU.
        count: how many; beyond 8 a multiple of 8.

    Raises:
        ImportError: when JAX's CUDA plugin is not installed, or is of another version than JAX.
    """
    if not any(map(importlib.util.find_spec, _PLUGINS)):
        require_extra("Compiling for a GPU", "gpu-compile", "jax_cuda12_plugin")
    # The plugin says of a machine without a GPU, on stderr, that it has none.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    hosts = -(-count // _ON_A_HOST)
    try:
        found = topologies.get_topology_desc(
            chip.name,
            "cuda",
            target_config=_target_config(chip),
            topology=f"1x{hosts}x{count // hosts}",
        )
    except (NotImplementedError, jax.errors.JaxRuntimeError) as error:
        raise ImportError(
            f"Compiling for a GPU needs a CUDA plugin that works with jax {jax.__version__}, got "
            f"one that does not ({error}); install one of its version: "
            "pip install 'jaxsched[gpu-compile]'"
        ) from error
    return tuple(found.devices)


def _target_config(chip: Gpu) -> str:
    """Returns XLA's description of a GPU, the text of a `GpuTargetConfigProto`."""
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: {chip.shared}
  shared_memory_per_block_optin: {chip.shared - 1024}
  core_count: {chip.multiprocessors} fpus_per_core: {chip.lanes}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: {chip.bandwidth:.0f} device_memory_size: {chip.all_memory}
  l2_cache_size: {chip.cache} clock_rate_ghz: {chip.clock}
  cuda_compute_capability {{ major: {chip.capability} }}
}}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 1 }}
device_description_str: "{chip.description}"
"""
