"""The cost of ResNet-50's stem on a TPU v5e, ordinary and on blocks of 2×2 pixels, by its compiler.

    pip install --editable '.[tpu-compile]'
    JAX_PLATFORMS=cpu python experiments/performance/stem_cost.py

The stem is compiled for one described chip, in a program of its own: bytes to bfloat16, the 7×7
convolution, batch norm, ReLU and max-pool of 32 images, and the gradients of kernel and scale. It
prints the cycles that the compiler estimates, in all and for the longest operations.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsched.ahead_of_time.topology import describe_machine
from jaxsched.experiment import load_module
from jaxsched.models.layers.convolution import convolution
from jaxsched.models.layers.space_to_depth import space_to_depth_convolution
from jaxsched.models.layers.target_platform import tracing_for

augmentation_cost = load_module(Path(__file__).with_name("augmentation_cost.py"))

BATCH, LONGEST = 32, 6


def stem(convolve, kernel, scale, images):
    """Returns the stem's output."""
    x = (images.astype(jnp.float32) * 0.01 - 1).astype(jnp.bfloat16)
    y = convolve(x, kernel, (2, 2), ((3, 3), (3, 3))).astype(jnp.float32)
    mean = y.mean((0, 1, 2))
    variance = (y * y).mean((0, 1, 2)) - mean**2
    z = jax.nn.relu((y - mean) * jax.lax.rsqrt(variance + 1e-5) * scale).astype(jnp.bfloat16)
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(z, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


def compiled(convolve, device) -> str:
    """Returns the text of the stem's program with its gradients."""
    sharding = NamedSharding(Mesh(np.array([device]), ("chips",)), PartitionSpec())

    def gradients(kernel, scale, images, cotangent):
        def loss(kernel, scale):
            return (stem(convolve, kernel, scale, images).astype(jnp.float32) * cotangent).sum()

        return jax.grad(loss, (0, 1))(kernel, scale)

    shapes = (
        jax.ShapeDtypeStruct((7, 7, 3, 64), jnp.float32, sharding=sharding),
        jax.ShapeDtypeStruct((64,), jnp.float32, sharding=sharding),
        jax.ShapeDtypeStruct((BATCH, 224, 224, 3), jnp.uint8, sharding=sharding),
        jax.ShapeDtypeStruct((BATCH, 56, 56, 64), jnp.bfloat16, sharding=sharding),
    )
    with tracing_for("tpu"):
        text = jax.jit(gradients).lower(*shapes).compile().as_text()
    assert text is not None  # no device runs it, but it has been compiled
    return text


def main() -> None:
    """Prints both stems' cycles."""
    machine = describe_machine("v5e:2x2")
    assert machine.devices is not None
    for convolve in (convolution, space_to_depth_convolution):
        cycles = augmentation_cost.estimated_cycles(compiled(convolve, machine.devices[0]))
        print(f"{convolve.__name__}: {sum(count for count, _ in cycles):,} cycles")
        for count, name in sorted(cycles, reverse=True)[:LONGEST]:
            print(f"  {count:,} {name}")


if __name__ == "__main__":
    main()
