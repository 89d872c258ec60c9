"""How fast would a TPU v5e pod train ResNet-50 as the batch grows? Computed, never measured.

    python experiments/performance/pod.py

An update consists of compute (or of memory traffic where that takes longer) and of what does not
depend on the batch: a launch, the optimizer and the all-reduces. Nothing overlaps. FLOP, parameters
and norms are counted from the network itself. Writes tables and a figure into
`experiments/results/pod`.

Formula:
    examples a chip   b = B / n
    compute           b · max(FLOP / (utilisation · peak), bytes / memory bandwidth)
    gradient          2 (n − 1)/n · 4 P / (links · link bandwidth) + hops · latency
    batch norms       2 · norms · hops · latency      (one forward, one backward each)
    update            max(compute + launch + optimizer + gradient + batch norms, input)

The constants below hold the assumptions. For two public runs on TPU v3, see `PUBLISHED`, the same
formula is up to twice too fast, above all where a chip has few examples.

Source:
    Chips: docs.cloud.google.com/tpu/docs/v5e (197 TFLOP/s bf16; 16 GB at 819 GB/s; 4 ports, of
    together 1,600 Gbps each way; all-reduce of a pod 51.2 TB/s; hosts of 8 chips and 224 vCPUs) and
    docs.cloud.google.com/tpu/docs/v3. A hop of 1 µs:
    astra-sim.github.io/astra-sim-docs/validation/hardware/tpu-validation.html. The plans: Smith et
    al., "Don't decay the learning rate, increase the batch size" (arXiv 1711.00489), section 5.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from matplotlib.figure import Figure

import jaxsched as js
from jaxsched.models import RESNET50
from jaxsched.plotting.style import COLOURS, plain

RESULTS = Path(__file__).parents[1] / "results" / "pod"
IMAGE_SHAPE = (224, 224, 3)
NUM_TRAIN, NUM_CLASSES = 1_281_167, 1000  # ImageNet
BATCH_SIZES = tuple(256 * 2**power for power in range(9))

UTILISATION = 0.4  # share of the peak while convolving; with it the first of PUBLISHED comes out
PASSES = 14  # over each convolution's output, in bf16: 5 forward, 9 backward, with batch norm
SAVED = 2  # tensors of that size kept for the backward pass: it, and what it becomes
LAUNCH = 0.2e-3  # seconds an update
HOP = 1e-6  # seconds from a chip to the next, for a small message
OPTIMIZER_PASSES = 5  # read gradient, momentum, weight; write momentum, weight; float32
COPIES = 3  # gradient, momentum, weight
DECODED = 224 * 100  # JPEG images a second a host: 100 a vCPU


@dataclass(frozen=True)
class Chip:
    """The published numbers of an accelerator.

    Attributes:
        peak: FLOP/s in bf16.
        memory: bytes.
        memory_bandwidth: bytes/s.
        link_bandwidth: bytes/s of one of the four links to its neighbours, one way.
    """

    peak: float
    memory: float
    memory_bandwidth: float
    link_bandwidth: float


@dataclass(frozen=True)
class Slice:
    """A rectangle of chips, each linked to its neighbours.

    Attributes:
        chip: the kind of all its chips.
        shape: chips down and across.
        is_torus: whether the last chip of a row or column is a neighbour of its first.
        chips_per_host: the number of chips that one host feeds.
        decoded: images/s that a host can read and decode.
    """

    chip: Chip
    shape: tuple[int, int]
    is_torus: bool = False
    chips_per_host: int = 8
    decoded: float = math.inf

    @property
    def num_chips(self) -> int:
        """The number of chips."""
        return math.prod(self.shape)

    @property
    def num_hosts(self) -> int:
        """The number of hosts that feed the chips."""
        return -(-self.num_chips // self.chips_per_host)

    @property
    def links(self) -> int:
        """The links that an all-reduce keeps busy: those of a corner, which has the fewest."""
        return 4 if self.is_torus else 2

    @property
    def hops(self) -> int:
        """The hops of an all-reduce, from the farthest chip to the middle and back."""
        return 2 * sum(side // 2 if self.is_torus else side - 1 for side in self.shape)


@dataclass(frozen=True)
class Work:
    """The cost of training a network, on any machine.

    Attributes:
        flop: FLOP of training on one image; a multiplication with its addition is two.
        elements: the elements of all convolutions' outputs for one image.
        parameters: the number of parameters.
        norms: the number of batch norms, each of which needs the whole batch's statistics.
    """

    flop: float
    elements: int
    parameters: int
    norms: int


class Update(NamedTuple):
    """The seconds of one update, by what they are spent on."""

    compute: float
    fixed: float  # launch and optimizer
    gradient: float  # its all-reduce
    norms: float  # their all-reduces
    waiting: float  # for the hosts to decode images

    @property
    def seconds(self) -> float:
        """The seconds of the whole update."""
        return sum(self)

    @property
    def reduced(self) -> float:
        """The share of the update spent in all-reduces."""
        return (self.gradient + self.norms) / self.seconds


V5E = Chip(197e12, 16e9, 819e9, 50e9)
V3 = Chip(123e12, 32 * 2**30, 900e9, 340e12 / 1024 / 4)
# As far as is known, only a whole pod of v5e closes its rings; smaller slices are taken for meshes.
SLICES = {
    rows * columns: Slice(V5E, (rows, columns), is_torus=rows == 16, decoded=DECODED)
    for rows, columns in ((1, 1), (2, 4), (4, 8), (8, 8), (8, 16), (16, 16))
}

_REST = js.Phase(60, 65_536)
PLANS = {
    "8,192, decay the rate": (js.Phase(90, 8192),),
    "8,192 → 16,384": (js.Phase(30, 8192), js.Phase(60, 16_384)),
    "16,384, decay the rate": (js.Phase(90, 16_384),),
    "8,192 → 65,536": (js.Phase(30, 8192), _REST),
    "16,384 → 65,536": (js.Phase(30, 16_384), _REST),
    "32,768 → 65,536": (js.Phase(30, 32_768), _REST),
}
PER_CHIP = 256  # of a slice that grows with the batch

# Images/s that others measured at batch 32,768. Their batch norm spans few chips or none.
PUBLISHED = {
    "v3, 256 chips (threadreaderapp.com/thread/1223395022814339073)": (
        Slice(V3, (16, 16), is_torus=True),
        480_000,
    ),
    "v3, 1024 chips (Ying et al., arXiv 1811.06992)": (
        Slice(V3, (32, 32), is_torus=True),
        1_050_000,
    ),
}


def resnet50() -> Work:
    """Counts ResNet-50's work from its jaxpr.

    Formula:
        FLOP = 2 (3 · multiply-adds forward − those of the first convolution)

    The gradients with respect to a layer's weights and to its input each cost as much as the layer;
    the first layer's input, the images, needs none. What is not a convolution or a matrix product
    counts as memory traffic.
    """
    model = RESNET50.build(NUM_CLASSES, dtype=jnp.bfloat16)
    key = jax.random.key(0)
    variables = jax.eval_shape(lambda key: model.init(key, IMAGE_SHAPE), key)
    image = jax.ShapeDtypeStruct((1, *IMAGE_SHAPE), jnp.float32)
    jaxpr = jax.make_jaxpr(model.eval_logits)(variables, image).jaxpr
    products = [e for e in equations(jaxpr) if e.primitive.name in _MULTIPLY_ADDS]
    forward = [_MULTIPLY_ADDS[e.primitive.name](e) for e in products]
    convolutions = [e for e in products if e.primitive.name == "conv_general_dilated"]
    return Work(
        flop=2 * (3 * sum(forward) - forward[0]),
        elements=sum(_num_outputs(e) for e in convolutions),
        parameters=sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
        # A mean and a variance each.
        norms=len(jax.tree.leaves(variables["batch_stats"])) // 2,
    )


def equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yields the jaxpr's equations in order, and those of the functions that they call."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values())):
            if isinstance(inner, ClosedJaxpr):
                inner = inner.jaxpr
            if isinstance(inner, Jaxpr):
                yield from equations(inner)


def _num_outputs(equation) -> int:
    return equation.outvars[0].aval.size


def _of_convolution(equation) -> int:
    """Multiply-adds of a convolution: for each output, every weight that it sees."""
    kernel = equation.invars[1].aval
    features = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    return _num_outputs(equation) * kernel.size // features


def _of_product(equation) -> int:
    """Multiply-adds of a matrix product: for each output, the length of its sum."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    lengths = (equation.invars[0].aval.shape[axis] for axis in contracted)
    return _num_outputs(equation) * math.prod(lengths)


_MULTIPLY_ADDS = {"conv_general_dilated": _of_convolution, "dot_general": _of_product}


def compute_seconds(work: Work, chip: Chip, per_chip: float) -> float:
    """Seconds of both passes on a chip: the longer of arithmetic and memory traffic."""
    return per_chip * max(arithmetic_seconds(work, chip), traffic_seconds(work, chip))


def arithmetic_seconds(work: Work, chip: Chip) -> float:
    """Seconds of one image's arithmetic, if memory cost nothing."""
    return work.flop / (UTILISATION * chip.peak)


def traffic_seconds(work: Work, chip: Chip) -> float:
    """Seconds of one image's memory traffic, if arithmetic cost nothing."""
    return PASSES * 2 * work.elements / chip.memory_bandwidth


def all_reduce_seconds(slice_: Slice, num_bytes: float) -> float:
    """Seconds of an all-reduce: the bandwidth bound, and the latency there and back.

    Formula:
        2 (n − 1)/n · bytes / (links · link bandwidth) + hops · latency
    """
    n, chip = slice_.num_chips, slice_.chip
    sent = 2 * (n - 1) / n * num_bytes
    return sent / (slice_.links * chip.link_bandwidth) + slice_.hops * HOP


def update_of(work: Work, slice_: Slice, batch_size: int) -> Update:
    """Computes what the time of one update is spent on."""
    chip = slice_.chip
    gradient_bytes = 4 * work.parameters
    busy = Update(
        compute=compute_seconds(work, chip, batch_size / slice_.num_chips),
        fixed=LAUNCH + OPTIMIZER_PASSES * gradient_bytes / chip.memory_bandwidth,
        gradient=all_reduce_seconds(slice_, gradient_bytes),
        # A few kilobytes: all of it is latency.
        norms=2 * work.norms * all_reduce_seconds(slice_, 0),
        waiting=0.0,
    )
    decoding = batch_size / (slice_.num_hosts * slice_.decoded)
    return busy._replace(waiting=max(0.0, decoding - busy.seconds))


def efficiency(work: Work, slice_: Slice, batch_size: int) -> float:
    """Images/s over those of as many chips that each work alone on their part of the batch."""
    alone = dataclasses.replace(slice_, shape=(1, 1), decoded=math.inf)
    per_chip = batch_size // slice_.num_chips
    return update_of(work, alone, per_chip).seconds / update_of(work, slice_, batch_size).seconds


def memory_bytes(work: Work, per_chip: float) -> float:
    """The least bytes that a chip holds: float32 weights, gradient, momentum; bf16 activations."""
    return COPIES * 4 * work.parameters + SAVED * 2 * work.elements * per_chip


def minutes_and_chip_hours(
    work: Work, phases: Sequence[js.Phase], slices: Mapping[int, Slice]
) -> tuple[float, float]:
    """Computes a plan's cost if each of its batch sizes runs on the slice given for it."""
    seconds = chip_seconds = 0.0
    for segment in js.Plan(tuple(phases), NUM_TRAIN).segments:
        slice_ = slices[segment.batch_size]
        each = update_of(work, slice_, segment.batch_size).seconds
        seconds += (segment.end_step - segment.start_step) * each
        chip_seconds += (segment.end_step - segment.start_step) * each * slice_.num_chips
    return seconds / 60, chip_seconds / 3600


def update_table(work: Work) -> str:
    """Markdown table of batch sizes on slices; a batch that does not fit is marked."""
    lines = [
        "| chips | batch | a chip | update, ms | images/s | all-reduce, % | efficiency, % "
        "| memory, GB | images/s a host |",
        "|" + "---:|" * 9,
    ]
    for n in (8, 32, 256):
        for batch_size in BATCH_SIZES[::2]:
            slice_ = SLICES[n]
            update = update_of(work, slice_, batch_size)
            rate, memory = batch_size / update.seconds, memory_bytes(work, batch_size / n)
            fits = "" if memory <= slice_.chip.memory else ", too much"
            lines.append(
                f"| {n} | {batch_size:,} | {batch_size // n:,} | {1e3 * update.seconds:,.1f} "
                f"| {rate:,.0f} | {100 * update.reduced:.1f} "
                f"| {100 * efficiency(work, slice_, batch_size):.1f} "
                f"| {memory / 1e9:.1f}{fits} | {rate / slice_.num_hosts:,.0f} |"
            )
    return "\n".join(lines)


def plan_table(work: Work) -> str:
    """Markdown table of 90 epochs by each plan: on the whole pod, and on a slice that grows."""
    lines = [
        f"| plan, 90 epochs | updates | minutes on 256 chips | minutes at {PER_CHIP} a chip "
        "| chip-hours there |",
        "|---|" + "---:|" * 4,
    ]
    for name, phases in PLANS.items():
        updates = js.Plan(phases, NUM_TRAIN).total_steps
        fixed, _ = minutes_and_chip_hours(work, phases, on_pod(phases))
        grown, hours = minutes_and_chip_hours(work, phases, growing(phases))
        lines.append(f"| {name} | {updates:,} | {fixed:.1f} | {grown:.1f} | {hours:.1f} |")
    return "\n".join(lines)


def on_pod(phases: Sequence[js.Phase]) -> dict[int, Slice]:
    """Assigns the whole pod to every batch size."""
    return {phase.batch_size: SLICES[256] for phase in phases}


def growing(phases: Sequence[js.Phase]) -> dict[int, Slice]:
    """Assigns each batch size as many chips as keep the examples of a chip the same."""
    return {phase.batch_size: SLICES[phase.batch_size // PER_CHIP] for phase in phases}


def published_ratios(work: Work) -> dict[str, float]:
    """Computes images/s over what others measured; above 1 the formula is too fast."""
    unnormed = dataclasses.replace(work, norms=0)
    return {
        name: 32_768 / update_of(unnormed, slice_, 32_768).seconds / measured
        for name, (slice_, measured) in PUBLISHED.items()
    }


def draw(work: Work, path: Path) -> None:
    """Draws images/s against the batch, the parts of an update on a pod, and the plans' minutes."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle("ResNet-50 at 224 on TPU v5e: computed, not measured")
    left, middle, right = (plain(axis) for axis in figure.subplots(1, 3))
    _draw_rates(left, work)
    _draw_shares(middle, work)
    _draw_plans(right, work)
    figure.savefig(path, dpi=150)


_THOUSANDS = (20, 50, 100, 200, 500)


def _draw_rates(axis, work: Work) -> None:
    for n, colour in zip((256, 32, 8), COLOURS, strict=False):
        rates = [size / update_of(work, SLICES[n], size).seconds for size in BATCH_SIZES]
        fitting = [s for s in BATCH_SIZES if memory_bytes(work, s / n) <= V5E.memory]
        axis.plot(BATCH_SIZES, rates, color=colour, linestyle=":")
        axis.plot(fitting, rates[: len(fitting)], color=colour, label=f"{n} chips", marker="o")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_yticks([1000 * k for k in _THOUSANDS], _THOUSANDS)
    axis.minorticks_off()
    axis.set(xlabel="batch size", ylabel="thousand images/s")
    axis.set_title("dotted: more than the memory holds")
    axis.legend(frameon=False, loc="upper left")


def _draw_shares(axis, work: Work) -> None:
    sizes = BATCH_SIZES[2:]
    updates = [update_of(work, SLICES[256], size) for size in sizes]
    parts = {
        "compute": [update.compute for update in updates],
        "launch, optimizer": [update.fixed for update in updates],
        "gradient's all-reduce": [update.gradient for update in updates],
        "batch norms' all-reduces": [update.norms for update in updates],
    }
    totals = np.array([update.seconds for update in updates])
    shares = [100 * np.array(part) / totals for part in parts.values()]
    axis.stackplot(sizes, shares, labels=parts, colors=COLOURS, alpha=0.8, linewidth=0)
    axis.set_xscale("log", base=2)
    axis.set(xlabel="batch size", ylabel="share of an update, %", title="256 chips", ylim=(0, 100))
    axis.legend(loc="lower right", framealpha=0.9, reverse=True)


def _draw_plans(axis, work: Work) -> None:
    for offset, label, slices, colour in (
        (-0.2, "256 chips", on_pod, COLOURS[0]),
        (0.2, f"{PER_CHIP} images a chip", growing, COLOURS[1]),
    ):
        minutes = [minutes_and_chip_hours(work, p, slices(p))[0] for p in PLANS.values()]
        places = [place + offset for place in range(len(PLANS))]
        axis.barh(places, minutes, height=0.38, color=colour, label=label)
    axis.set_yticks(range(len(PLANS)), list(PLANS))
    axis.invert_yaxis()
    axis.set(xlabel="minutes", title="90 epochs of ImageNet, by batch size")
    axis.legend(frameon=False, loc="lower right")


def main() -> None:
    """Counts, computes, prints, writes and draws."""
    work = resnet50()
    checks = "\n".join(
        f"- {name}: computed {ratio:.2f} times what was measured"
        for name, ratio in published_ratios(work).items()
    )
    content = (
        "ResNet-50 at 224 on TPU v5e, by `python experiments/performance/pod.py`: "
        "**computed, not measured.**\n"
        f"\n{work.flop / 1e9:.2f} GFLOP of training an image, {work.parameters:,} parameters, "
        f"{work.norms} batch norms. An image's arithmetic takes "
        f"{1e3 * arithmetic_seconds(work, V5E):.2f} ms, its memory traffic "
        f"{1e3 * traffic_seconds(work, V5E):.2f} ms; the longer counts. A host is taken to decode "
        f"{DECODED:,} images/s.\n\n"
        f"{update_table(work)}\n\n{plan_table(work)}\n\n"
        f"The same formula on TPU v3 at batch 32,768:\n\n{checks}\n"
    )
    print(content)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "pod.md").write_text(content, encoding="utf-8")
    draw(work, RESULTS / "pod.png")


if __name__ == "__main__":
    main()
