"""Compiles small functions for four described TPU or GPU chips and writes their programs' texts.

`python record.py tpu` needs `jax[tpu]`, `python record.py gpu updates convolutions` needs
`jax-cuda12-plugin`; neither needs the chips. Names of functions choose some of them. The texts in
`recorded/` are of JAX 0.10.2 with libtpu 0.0.42.1, and of JAX 0.11.2 with its CUDA plugin for an
H100. What the backends note for themselves is left out.
"""

import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

LABELS = ("NHWC", "HWIO", "NHWC")
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 1 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""


def crop(images, rows, columns):
    def one(image, row, column):
        return lax.dynamic_slice(image, (row, column, 0), (32, 32, 3))

    return jax.vmap(one)(jnp.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0))), rows, columns)


def flip(images, flips):
    columns = jnp.where(flips[:, None], jnp.arange(31, -1, -1), jnp.arange(32))
    return jnp.take_along_axis(images, columns[:, None, :, None], axis=2)


def updates(weights, batches, count):
    """Updates, their number unknown, of three micro-batches with a mean over all chips in each."""

    def update(carry):
        def add(index, total):
            outputs = batches[index] @ weights
            mean = outputs.mean(0)
            return total + batches[index].T @ jnp.tanh(outputs - mean)

        done, weights = carry
        return done + 1, weights - 0.1 * lax.fori_loop(0, 3, add, jnp.zeros_like(weights))

    def is_unfinished(carry):
        return (carry[0] < count) & jnp.isfinite(carry[1][0, 0])

    return lax.while_loop(is_unfinished, update, (0, weights))[1]


def convolutions(images, kernel, head):
    """A strided convolution in bfloat16 with a head in float32, and the gradients of both."""

    def loss(images, kernel, head):
        outputs = lax.conv_general_dilated(
            images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=LABELS
        )
        pooled = outputs.astype(jnp.float32).mean((1, 2))
        return (jnp.dot(pooled, head, precision="highest") ** 2).sum()

    return jax.grad(loss, (0, 1, 2))(images, kernel, head)


def sharded(inputs, weights):
    """Three layers whose weights are gathered where they are used."""
    for weight in weights:
        inputs = jnp.tanh(inputs @ lax.with_sharding_constraint(weight, P()))
    return inputs


def programs(devices):
    """Yields names, functions, arguments and donated positions."""
    mesh = Mesh(np.array(devices), ("chip",))

    def like(dtype, *shape, over=()):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P(*over)))

    def split(dtype, *shape):
        return like(dtype, *shape, over=("chip",))

    u8, i32, bf16, f32 = jnp.uint8, jnp.int32, jnp.bfloat16, jnp.float32
    images = split(u8, 512, 32, 32, 3)
    yield "crop", crop, (images, split(i32, 512), split(i32, 512)), ()
    yield "flip", flip, (images, split(jnp.bool_, 512)), ()
    batches = like(f32, 3, 64, 128, over=(None, "chip"))
    yield "updates", updates, (like(f32, 128, 128), batches, like(i32)), (0,)
    images = split(bf16, 64, 16, 16, 64)
    arguments = (images, like(bf16, 3, 3, 64, 128), like(f32, 128, 8192))
    yield "convolutions", convolutions, arguments, ()
    with jax.set_mesh(mesh):
        weights = [split(bf16, 2048, 2048)] * 3
        yield "sharded", sharded, (split(bf16, 4096, 2048), weights), ()


def without_notes(text):
    """Returns a program's text without the notes of the backend that nobody reads here."""

    def kept(found):
        known = re.findall(r'"(?:known_trip_count|dot_dimension_numbers)":\{[^}]*\}', found[0])
        return f", backend_config={{{','.join(known)}}}" if known else ""

    text = re.sub(r", backend_config=.*", kept, text)
    return text.replace(str(Path(__file__).resolve()), "record.py")


def main():
    kind = sys.argv[1]
    if kind == "tpu":
        topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    else:
        topology = topologies.get_topology_desc(
            "h100", "cuda", target_config=H100, topology="1x1x4"
        )
    folder = Path(__file__).parent / "recorded"
    for name, function, arguments, donated in programs(topology.devices):
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        compiled = jax.jit(function, donate_argnums=donated).lower(*arguments).compile()
        (folder / f"{kind}_{name}.txt").write_text(without_notes(compiled.as_text()))


if __name__ == "__main__":
    main()
