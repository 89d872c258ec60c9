"""How fast is a 3×3 convolution on a CPU, with both its gradients, in the forms that XLA offers?

    python experiments/performance/convolutions.py

This takes some minutes on two cores, in an environment that may have torch too. Two convolutions
follow each other, with stride 1 and as many features as channels, in float32; one program computes
them and the gradients for images and kernels. Times are of one of the two. A form with a layout of
its own gets the images in it and keeps it, as the layers of a stage would. Each number of threads
has a process with JAX and one with PyTorch, on as many cores, which take turns; within a turn so do
the forms. Times are medians over turns. The error is the largest of output and both gradients
against float64, relative to the largest element, of two images of all shapes.
"""

import functools
import importlib.util
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from convolution_forms import FORMS, Form
from rich import box
from rich.console import Console
from rich.table import Table

from jaxsched.models.layers.convolution import convolution

THREADS = (1, 2)
# Images, height and width, channels: a quarter of a batch of 128 in ResNet-20 and in WRN-16-4.
SHAPES = ((32, 32, 16), (32, 16, 32), (32, 8, 64), (32, 32, 64))
TURNS, SECONDS, LAYERS = 5, 0.1, 2

YNN = "xla_cpu_experimental_ynn_fusion_type"
OPTIONS: dict[str, dict[str, str | bool]] = {
    "without YNN": {YNN: ""},
    "with oneDNN": {"xla_cpu_use_onednn": True},
    "with XNNPACK": {"xla_cpu_use_xnnpack": True},
    "one thread an operation": {"xla_cpu_multi_thread_eigen": False},
}


def layer(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """The layer of this package."""
    return convolution(images, kernel, (1, 1), ((1, 1), (1, 1)))


LAYER = Form(layer)


def arrays(shape: tuple[int, int, int], layers: int = LAYERS) -> tuple[np.ndarray, np.ndarray]:
    """Images [B, H, H, C], and a kernel [3, 3, C, C] for each layer that keeps their scale."""
    batch, side, channels = shape
    random = np.random.default_rng(0)
    images = random.standard_normal((batch, side, side, channels))
    kernels = random.standard_normal((layers, 3, 3, channels, channels)) / (9 * channels) ** 0.5
    return images.astype(np.float32), kernels.astype(np.float32)


def with_jax(shape: tuple[int, int, int], form: str) -> Callable[[], Any]:
    """Compiles the program of a form; at its top level, where XLA's own gradients are fast."""
    way, options = FORMS.get(form, LAYER), OPTIONS.get(form)

    def total(images, kernels):
        for kernel in kernels:
            images = way.convolve(images, kernel)
        return (images * images).sum()

    images, kernels = (jnp.asarray(array) for array in arrays(shape))
    images = way.layout(images)
    lowered = jax.jit(jax.grad(total, argnums=(0, 1))).lower(images, list(kernels))
    program = lowered.compile(compiler_options=options)
    return lambda: jax.block_until_ready(program(images, list(kernels)))


def with_torch(shape: tuple[int, int, int], form: str) -> Callable[[], Any]:
    """Prepares the same computation in PyTorch, channels last."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    images, kernels = (torch.from_numpy(array) for array in arrays(shape))
    images = images.permute(0, 3, 1, 2).requires_grad_()  # NHWC in memory
    tensors = [kernel.permute(3, 2, 0, 1) for kernel in kernels]
    last = torch.channels_last
    tensors = [t.contiguous(memory_format=last).requires_grad_() for t in tensors]

    def run():
        y = images
        for kernel in tensors:
            y = torch.nn.functional.conv2d(y, kernel, padding=1)
        return torch.autograd.grad((y * y).sum(), [images, *tensors])

    return run


@functools.cache
def prepared(shape: tuple[int, int, int], form: str) -> Callable[[], Any]:
    """A form's computation in this process, which has run once."""
    run = (with_torch if form == "torch" else with_jax)(shape, form)
    run()
    return run


def turn(shape: tuple[int, int, int], forms: tuple[str, ...]) -> dict[str, float]:
    """Runs in a worker: the milliseconds of one convolution in each form."""
    found = {}
    for form in forms:
        run, count, start = prepared(shape, form), 0, 0.0
        run()
        start = time.perf_counter()
        while time.perf_counter() < start + SECONDS:
            run()
            count += 1
        found[form] = 1e3 * (time.perf_counter() - start) / count / LAYERS
    return found


def exact(images: np.ndarray, kernel: np.ndarray, cotangent: np.ndarray) -> list[np.ndarray]:
    """Output and both gradients in float64."""
    side = images.shape[1]
    padded = np.pad(images.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    output, for_padded, for_kernel = (np.zeros(a.shape) for a in (images, padded, kernel))
    for u, v in np.ndindex(3, 3):
        window = np.s_[:, u : u + side, v : v + side]
        output += padded[window] @ kernel[u, v]
        for_padded[window] += cotangent @ kernel[u, v].T
        for_kernel[u, v] = np.tensordot(padded[window], cotangent, ((0, 1, 2), (0, 1, 2)))
    return [output, for_padded[:, 1:-1, 1:-1], for_kernel]


def results_of(form: str, images: jax.Array, kernel: jax.Array, cotangent: jax.Array) -> list:
    """Output and both gradients of a form."""
    way = FORMS.get(form, LAYER)
    output, pull_back = jax.vjp(way.convolve, way.layout(images), kernel)
    for_images, for_kernel = pull_back(way.layout(cotangent))
    return [way.back(output), way.back(for_images), for_kernel]


def error(form: str) -> float:
    """Runs in a worker: the largest error of a form over all shapes."""
    found = []
    for shape in SHAPES:
        images, (kernel, other) = arrays((2, *shape[1:]), 2)
        cotangent = np.asarray(layer(jnp.asarray(images), jnp.asarray(other)))
        results = jax.jit(results_of, static_argnums=0)(form, images, kernel, cotangent)
        for result, truth in zip(results, exact(images, kernel, cotangent), strict=True):
            found.append(np.abs(result - truth).max() / np.abs(truth).max())
    return max(found)


def worker(threads: int) -> ProcessPoolExecutor:
    """A process on so many cores."""
    context, cores = multiprocessing.get_context("spawn"), range(threads)
    return ProcessPoolExecutor(1, context, os.sched_setaffinity, (0, cores))


def measure(threads: int, groups: list[tuple[str, ...]]) -> dict[str, list[float]]:
    """The medians of each form, one a shape; each group of forms has a process."""
    workers = [worker(threads) for _ in groups]
    medians: dict[str, list[float]] = {form: [] for group in groups for form in group}
    for shape in SHAPES:
        turns: dict[str, list[float]] = {form: [] for form in medians}
        for _ in range(TURNS):
            for process, group in zip(workers, groups, strict=True):
                for form, milliseconds in process.submit(turn, shape, group).result().items():
                    turns[form].append(milliseconds)
        print(f"measured {shape} on {threads} cores", flush=True)
        for form, found in turns.items():
            medians[form].append(statistics.median(found))
    for process in workers:
        process.shutdown()
    return medians


def main() -> None:
    """Measures and prints a table for each number of threads."""
    console, groups = Console(width=120), [("the layer", *FORMS, *OPTIONS)]
    if importlib.util.find_spec("torch"):
        groups.append(("torch",))
    with worker(1) as process:
        errors = {form: process.submit(error, form).result() for form in ("the layer", *FORMS)}
    for threads in THREADS:
        title = f"jax {jax.__version__}: ms, {threads} of {os.cpu_count()} cores"
        table = Table(box=box.MARKDOWN, title=title)
        names = [f"{b}x{side}x{side}x{channels}" for b, side, channels in SHAPES]
        for column in ("form", *names, "error"):
            table.add_column(column, justify="left" if column == "form" else "right")
        for form, medians in measure(threads, groups).items():
            cells = [f"{milliseconds:.2f}" for milliseconds in medians]
            table.add_row(form, *cells, f"{errors[form]:.0e}" if form in errors else "")
        console.print(table)


if __name__ == "__main__":
    main()
