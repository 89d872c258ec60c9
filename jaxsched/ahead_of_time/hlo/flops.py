"""Products of a program: its convolutions and matrix products, and their floating-point operations.

A product costs 2 × outputs × terms of each sum. A convolution's terms are counted where its window
lies inside the image, so padding and the holes of a strided one's gradient cost nothing.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jaxsched.ahead_of_time.hlo.loops import Loop
from jaxsched.ahead_of_time.hlo.parse import Instruction
from jaxsched.ahead_of_time.hlo.shapes import Shape
from jaxsched.ahead_of_time.hlo.source import Stack
from jaxsched.ahead_of_time.hlo.walk import Site

# cuDNN's calls: the places of a convolution's image, kernel and output among (operand 0, operand 1,
# result). Window and labels are always those of the convolution forwards.
_CUDNN = {
    "__cudnn$convForward": (0, 1, 2),
    "__cudnn$convBiasActivationForward": (0, 1, 2),
    "__cudnn$convBackwardInput": (2, 1, 0),
    "__cudnn$convBackwardFilter": (0, 2, 1),
}
_GEMMS = ("__cublas$gemm", "__cublas$lt$matmul", "__triton_gemm", "__onednn$matmul")


@dataclass(frozen=True)
class Product:
    """A convolution or a matrix product.

    Attributes:
        name: the instruction's name.
        is_convolution: whether its window has spatial dimensions; a TPU's matrix products are
            convolutions without one.
        operands: the two arrays.
        output: the array it gives.
        flops: the floating-point operations of one run of it.
        times: how often a run of the program runs it.
        loops: the loops around it, from the outermost.
        op_name: JAX's name of the operation.
        stack: the lines of Python that it stems from, from the innermost.
    """

    name: str
    is_convolution: bool
    operands: tuple[Shape, Shape]
    output: Shape
    flops: int
    times: int
    loops: tuple[Loop, ...]
    op_name: str
    stack: Stack

    @property
    def total_flops(self) -> int:
        """The floating-point operations of all its runs."""
        return self.flops * self.times

    @property
    def dtype(self) -> str:
        """The wider of the operands' dtypes, in which a chip multiplies."""
        return max(self.operands, key=lambda shape: (shape.bits, shape.dtype)).dtype


def products(sites: Iterable[Site]) -> tuple[Product, ...]:
    """Returns the convolutions and matrix products among what a program runs."""
    found = []
    for site in sites:
        instruction = site.instruction
        arrays = _arrays(site)
        if arrays is None:
            continue
        left, right, output = arrays
        labels = instruction.attribute("dim_labels")
        if labels:
            image, kernel, result = _forwards(instruction, left, right, output)
            flops = _convolution_flops(instruction, image, kernel, result, labels)
        else:
            flops = 2 * output.elements * _contracted(instruction, left)
        found.append(
            Product(
                name=instruction.name,
                is_convolution=bool(re.search(r"\d", labels or "")),
                operands=(left, right),
                output=output,
                flops=flops,
                times=site.times,
                loops=site.loops,
                op_name=instruction.op_name,
                stack=instruction.stack,
            )
        )
    return tuple(found)


def uncounted_calls(sites: Iterable[Site]) -> tuple[str, ...]:
    """Returns the targets of custom calls whose operations are not counted, each once."""
    targets = {
        _target(site.instruction) for site in sites if site.instruction.opcode == "custom-call"
    }
    return tuple(sorted(targets - {*_CUDNN, *_GEMMS}))


def _arrays(site: Site) -> tuple[Shape, Shape, Shape] | None:
    """Returns the two arrays of a product and what it gives; None for other instructions."""
    instruction = site.instruction
    is_product = instruction.opcode in ("convolution", "dot") or (
        instruction.opcode == "custom-call" and _target(instruction) in (*_CUDNN, *_GEMMS)
    )
    if not is_product:
        return None
    left, right = site.operand_shapes[:2]
    return left, right, instruction.shapes[0]


def _target(instruction: Instruction) -> str:
    return (instruction.attribute("custom_call_target") or "").strip('"')


def _forwards(
    instruction: Instruction, left: Shape, right: Shape, output: Shape
) -> tuple[Shape, Shape, Shape]:
    """Returns the image, the kernel and the output that the labels and the window speak of."""
    arrays = (left, right, output)
    image, kernel, result = _CUDNN.get(_target(instruction), (0, 1, 2))
    return arrays[image], arrays[kernel], arrays[result]


def _contracted(instruction: Instruction, left: Shape) -> int:
    """Returns the number of terms of each sum of a matrix product."""
    if instruction.opcode == "dot":
        dimensions = instruction.numbers("lhs_contracting_dims")
    else:
        # Numbers of 64 bits are written as strings.
        found = re.search(r'"lhs_contracting_dimensions":(\[[^\]]*\])', instruction.backend_config)
        dimensions = [int(index) for index in json.loads(found[1])] if found else [-1]
    return math.prod(left.dimensions[index] for index in dimensions)


def _convolution_flops(
    instruction: Instruction, image: Shape, kernel: Shape, output: Shape, labels: str
) -> int:
    """Returns the operations of a convolution.

    Args:
        instruction: the convolution, for its window.
        image: the array that the window slides over.
        kernel: the weights.
        output: what the convolution gives.
        labels: the dimensions' roles, such as `b01f_01io->b01f`.
    """
    inputs, weights, outputs = re.split("_|->", labels)
    window = instruction.attribute("window") or ""
    terms = kernel.dimensions[weights.index("i")]
    spatial = [letter for letter in outputs if letter.isdigit()]
    pairs = 1
    for number, letter in enumerate(spatial):
        pairs *= _pairs(
            _WindowDimension.read(window, number, len(spatial)),
            image.dimensions[inputs.index(letter)],
            output.dimensions[outputs.index(letter)],
        )
    channels = output.dimensions[outputs.index("b")] * output.dimensions[outputs.index("f")]
    return 2 * channels * terms * pairs


@dataclass(frozen=True)
class _WindowDimension:
    """A convolution's window along one dimension."""

    size: int
    stride: int
    pad_low: int
    image_dilation: int
    kernel_dilation: int

    @classmethod
    def read(cls, window: str, number: int, rank: int) -> "_WindowDimension":
        """Reads a dimension of a text such as `{size=3x3 stride=2x2 pad=0_1x0_1}`."""
        parts = dict(re.findall(r"(\w+)=([^\s}]+)", window))

        def value(name: str, default: str) -> str:
            return parts.get(name, "x".join([default] * rank)).split("x")[number]

        return cls(
            size=int(value("size", "1")),
            stride=int(value("stride", "1")),
            pad_low=int(value("pad", "0_0").split("_")[0]),
            image_dilation=int(value("lhs_dilate", "1")),
            kernel_dilation=int(value("rhs_dilate", "1")),
        )


def _pairs(window: _WindowDimension, image: int, outputs: int) -> int:
    """Returns how many pairs of an output and a place of the window meet a value of the image."""
    output = np.arange(outputs)[:, None] * window.stride
    places = output + np.arange(window.size) * window.kernel_dilation - window.pad_low
    last = (image - 1) * window.image_dilation
    meets = (places >= 0) & (places <= last) & (places % window.image_dilation == 0)
    return int(meets.sum())
