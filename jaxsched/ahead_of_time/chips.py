"""A data sheet of chips: memory, and peaks of arithmetic and of bandwidth."""

from dataclasses import dataclass
from typing import Any

_GIB = 2**30
# XLA makes one exact product of float32 numbers of six in bfloat16: `BF16_BF16_F32_X6` in
# https://docs.jax.dev/en/latest/jax.lax.html#jax.lax.DotAlgorithmPreset.
_PASSES = 6
# JAX takes so much of a GPU's memory: https://docs.jax.dev/en/latest/gpu_memory_allocation.html.
_SHARE_OF_GPU = 0.75


@dataclass(frozen=True)
class Chip:
    """A chip's limits.

    Attributes:
        name: as it stands in a topology's name, such as `v5e`.
        memory: the bytes that programs may use.
        bandwidth: bytes a second between the chip and its memory.
        bf16: floating-point operations a second in bfloat16.
        rounded: those of float32 products where the chip may round what it multiplies.
        float32: those of exact float32 products.

    Example:
        >>> from jaxsched.ahead_of_time.chips import TPUS
        >>> TPUS["v5e"].memory / 2**30, TPUS["v5e"].peak("bf16", exact=True)
        (15.75, 197000000000000.0)
    """

    name: str
    memory: int
    bandwidth: float
    bf16: float
    rounded: float
    float32: float

    def peak(self, dtype: str, *, exact: bool) -> float:
        """Returns the operations a second of products of a dtype, as XLA names it.

        Args:
            dtype: a half precision counts as bfloat16, and all else as float32.
            exact: whether products of float32 numbers must be exact.
        """
        if dtype in ("bf16", "f16"):
            return self.bf16
        return self.float32 if exact else self.rounded


@dataclass(frozen=True)
class Tpu(Chip):
    """A TPU of a generation; its two cores make one device.

    Attributes:
        dimensions: of the torus of chips.
        has_two_cores: whether the two cores have to be joined by an option.
    """

    dimensions: int
    has_two_cores: bool = False


@dataclass(frozen=True)
class Gpu(Chip):
    """A GPU, described as XLA's target configuration needs it.

    Attributes:
        description: the device's name.
        all_memory: the bytes of its memory.
        capability: the major number of its compute capability.
        multiprocessors: their number.
        lanes: float32 units of each multiprocessor.
        shared: bytes of shared memory of each multiprocessor.
        cache: bytes of the second cache.
        clock: gigahertz.
    """

    description: str
    all_memory: int
    capability: int
    multiprocessors: int
    lanes: int
    shared: int
    cache: int
    clock: float


def _tpu(
    name: str, memory: float, tflops: float, bandwidth: float, dimensions: int, two: bool = False
) -> Tpu:
    """Describes a TPU: memory in GiB, TFLOP/s in bfloat16, GB/s."""
    bf16 = tflops * 1e12
    return Tpu(
        name, int(memory * _GIB), bandwidth * 1e9, bf16, bf16, bf16 / _PASSES, dimensions, two
    )


# The memory is what libtpu's compiler has in its messages ("exceeds available HBM (15.75G)"): what
# the data sheet says less what the runtime keeps.
TPUS = {
    chip.name: chip
    for chip in (
        # 32 GB, 275 TFLOP/s, 1,200 GB/s: https://docs.cloud.google.com/tpu/docs/v4; twice the
        # 15.25G of a core, of which it has two.
        _tpu("v4", 30.5, 275, 1200, 3, two=True),
        # 16 GB, 197 TFLOP/s, 819 GB/s: https://docs.cloud.google.com/tpu/docs/v5e
        _tpu("v5e", 15.75, 197, 819, 2),
        # 95 GB, 459 TFLOP/s, 2,765 GB/s: https://docs.cloud.google.com/tpu/docs/v5p
        _tpu("v5p", 95.74, 459, 2765, 3),
        # 32 GB, 918 TFLOP/s, 1,640 GB/s: https://docs.cloud.google.com/tpu/docs/v6e
        _tpu("v6e", 31.25, 918, 1640, 2),
    )
}


def _gpu(name: str, tflops: tuple[float, float, float], bandwidth: float, **described) -> Gpu:
    """Describes a GPU: TFLOP/s in bfloat16, TF32 and float32, without sparsity, and GB/s."""
    bf16, rounded, float32 = (rate * 1e12 for rate in tflops)
    memory = int(_SHARE_OF_GPU * described["all_memory"])
    return Gpu(name, memory, bandwidth * 1e9, bf16, rounded, float32, **described)


# An H100 and an H200 differ in their memory alone.
_HOPPER_TFLOPS = (989.4, 494.7, 66.9)
_HOPPER: dict[str, Any] = {
    "capability": 9,
    "multiprocessors": 132,
    "lanes": 128,
    "shared": 233_472,
    "cache": 52_428_800,
    "clock": 1.98,
}
# How a multiprocessor is built: XLA's own descriptions of an A100 and an H100,
# https://github.com/openxla/xla/tree/main/xla/backends/gpu/target_config/specs.
GPUS = {
    chip.name: chip
    for chip in (
        # SXM4, 80 GB, 312, 156 and 19.5 TFLOP/s, 2,039 GB/s:
        # https://www.nvidia.com/en-us/data-center/a100/
        _gpu(
            "a100",
            (312, 156, 19.5),
            2039,
            description="NVIDIA A100-SXM4-80GB",
            all_memory=84_987_740_160,  # as the driver reports it
            capability=8,
            multiprocessors=108,
            lanes=64,
            shared=167_936,
            cache=41_943_040,
            clock=1.41,
        ),
        # SXM5, 80 GB, 989.4, 494.7 and 66.9 TFLOP/s, 3,350 GB/s:
        # https://www.nvidia.com/en-us/data-center/h100/, where sparsity doubles the first two
        _gpu(
            "h100",
            _HOPPER_TFLOPS,
            3350,
            description="NVIDIA H100 80GB HBM3",
            all_memory=84_978_434_048,  # as the driver reports it
            **_HOPPER,
        ),
        # SXM5, 141 GB, 4,800 GB/s, else an H100: https://www.nvidia.com/en-us/data-center/h200/
        _gpu(
            "h200",
            _HOPPER_TFLOPS,
            4800,
            description="NVIDIA H200",
            all_memory=141_000_000_000,
            **_HOPPER,
        ),
    )
}
