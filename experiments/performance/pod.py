"""How long would ResNet-50 take on 256 chips of TPU v5e, as its batch grows? Nothing is measured.

    jaxsched compile experiments/performance/pod.py --topology v5e:16x16 \
        --output experiments/results/pod/compiled.json
    python experiments/performance/pod.py

The first command compiles the update at every batch size of the plans. Its file has what a chip
computes, reads and exchanges. The second adds what is assumed, the constants below, and writes
`experiments/results/pod/pod.md`.

Formula:
    at least    max(FLOP / peak, traffic / bandwidth) + all-reduces
    at share m  FLOP / (m · peak) + all-reduces
    all-reduces 2 (n − 1)/n · bytes / (links · link bandwidth) + number · hops · latency

No exchange overlaps with anything, and no chip waits for images. The shares m of the peak are
those of two public runs at batch 32,768.

Source:
    A pod: docs.cloud.google.com/tpu/docs/v5e (4 links of 50 GB/s one way; only 16 × 16 is a torus).
    A hop: astra-sim.github.io/astra-sim-docs/validation/hardware/tpu-validation.html. Peak of a v3
    chip: docs.cloud.google.com/tpu/docs/v3. The plans: Smith et al., "Don't decay the learning
    rate, increase the batch size" (arXiv 1711.00489), section 5.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jaxsched as js
from jaxsched.experiment import load_module

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "pod"
NUM_TRAIN = 1_281_167  # ImageNet
SIDES = {32: (4, 8), 64: (8, 8), 128: (8, 16), 256: (16, 16)}  # of slices, by their chips
LINK_BANDWIDTH, HOP = 50e9, 1e-6  # bytes/s of a link one way; seconds
FULL = 256  # images of a chip in a slice that grows with the batch

_REST = js.Phase(60, 65_536)
PLANS = {
    "8,192, decay the rate": (js.Phase(90, 8192),),
    "8,192 → 16,384": (js.Phase(30, 8192), js.Phase(60, 16_384)),
    "16,384, decay the rate": (js.Phase(90, 16_384),),
    "8,192 → 65,536": (js.Phase(30, 8192), _REST),
    "16,384 → 65,536, momentum 0.95": (js.Phase(30, 16_384), _REST),
    "32,768 → 65,536, momentum 0.975": (js.Phase(30, 32_768), _REST),
}


class Published(NamedTuple):
    """A public run of ResNet-50 at batch 32,768: its images a second on so many v3 chips."""

    images_per_second: float
    chips: int
    source: str


V3_PEAK = 123e12
PUBLISHED = (
    Published(480_000, 256, "threadreaderapp.com/thread/1223395022814339073"),
    Published(1_050_000, 1024, "Ying et al., arXiv 1811.06992"),
)

# What `jaxsched compile` reads: the network and optimizer of the paper's run, at every size.
experiment = dataclasses.replace(
    load_module(HERE.parents[1] / "configs" / "imagenet_resnet50_inception_batch.py").experiment,
    name="pod",
    phases=(js.Phase(30, 8192), js.Phase(10, 16_384), js.Phase(10, 32_768), js.Phase(40, 65_536)),
)


class Update(NamedTuple):
    """An update as it was compiled, of one chip."""

    images: int
    flops: int
    seconds_at_peak: float
    seconds_at_bandwidth: float
    memory: float  # bytes
    exchanges: int
    exchanged: int  # bytes

    def at_least(self, chips: int) -> float:
        """Returns the seconds that it cannot fall below on so many chips."""
        return max(self.seconds_at_peak, self.seconds_at_bandwidth) + self.reducing(chips)

    def at_share(self, share: float, chips: int) -> float:
        """Returns its seconds if its arithmetic runs at a share of the peak."""
        return self.seconds_at_peak / share + self.reducing(chips)

    def reducing(self, chips: int) -> float:
        """Returns the seconds of its all-reduces: the bandwidth bound and the latency."""
        is_torus = SIDES[chips] == (16, 16)
        hops = 2 * sum(side // 2 if is_torus else side - 1 for side in SIDES[chips])
        links = 4 if is_torus else 2  # of a corner, which has the fewest
        sent = 2 * (chips - 1) / chips * self.exchanged
        return sent / (links * LINK_BANDWIDTH) + self.exchanges * hops * HOP


def compiled_updates(path: Path) -> dict[int, Update]:
    """Reads the updates that were compiled, by batch size."""
    programs = json.loads(path.read_text(encoding="utf-8"))["programs"]
    return {found["batch_size"]: _update(found) for found in programs if found["batch_size"]}


def _update(found: dict[str, Any]) -> Update:
    return Update(
        found["examples_per_chip"],
        found["flops"],
        found["seconds_at_peak"],
        found["seconds_at_bandwidth"],
        found["memory"]["total"],
        sum(exchange["count"] for exchange in found["exchanges"]),
        sum(exchange["bytes"] for exchange in found["exchanges"]),
    )


def shares(update: Update) -> list[float]:
    """Computes the shares of the peak that the published runs reached."""
    of_image = update.flops / update.images
    return [run.images_per_second * of_image / (run.chips * V3_PEAK) for run in PUBLISHED]


def minutes(phases: Sequence[js.Phase], seconds: Callable[[int], float]) -> float:
    """Computes the minutes of a plan, by the seconds of an update at each batch size."""
    segments = js.Plan(tuple(phases), NUM_TRAIN).segments
    each = ((s.end_step - s.start_step) * seconds(s.batch_size) for s in segments)
    return sum(each) / 60


def update_table(updates: dict[int, Update], share: float) -> list[str]:
    """Makes the rows of the updates on all 256 chips."""
    rows = [
        "| batch size | images a chip | memory, GB | at peak, ms | at bandwidth, ms | exchanges "
        "| exchanged, MB | all-reduces, ms | at least, ms | at that share, ms |",
        "|" + "---:|" * 10,
    ]
    for size, of in updates.items():
        rows.append(
            f"| {size:,} | {of.images} | {of.memory / 1e9:.2f} | {1e3 * of.seconds_at_peak:.1f} "
            f"| {1e3 * of.seconds_at_bandwidth:.1f} | {of.exchanges:,} "
            f"| {of.exchanged / 1e6:,.1f} | {1e3 * of.reducing(256):.2f} "
            f"| {1e3 * of.at_least(256):.1f} | {1e3 * of.at_share(share, 256):.1f} |"
        )
    return rows


def plan_table(updates: dict[int, Update], share: float) -> list[str]:
    """Makes the rows of the plans: on all chips, and on a slice that grows with the batch."""
    full = updates[FULL * 256]
    rows = [
        "| plan, 90 epochs | updates | minutes, at least | minutes at that share | chip-hours "
        f"| minutes at {FULL} images a chip | chip-hours |",
        "|---|" + "---:|" * 6,
    ]
    for name, phases in PLANS.items():
        at_least = minutes(phases, lambda size: updates[size].at_least(256))
        likely = minutes(phases, lambda size: updates[size].at_share(share, 256))
        grown = minutes(phases, lambda size: full.at_share(share, size // FULL))
        chip_minutes = minutes(
            phases, lambda size: size // FULL * full.at_share(share, size // FULL)
        )
        rows.append(
            f"| {name} | {js.Plan(phases, NUM_TRAIN).total_steps:,} | {at_least:.1f} "
            f"| {likely:.1f} | {likely * 256 / 60:.1f} | {grown:.1f} | {chip_minutes / 60:.1f} |"
        )
    return rows


def page(updates: dict[int, Update]) -> str:
    """Makes the page: what is compiled, what is assumed, and the two tables."""
    found = shares(updates[8192])
    runs = "; ".join(
        f"{100 * share:.0f} % at {32_768 // run.chips} images a chip, {run.chips:,} chips "
        f"({run.source})"
        for share, run in zip(found, PUBLISHED, strict=True)
    )
    lines = [
        "ResNet-50 on TPU v5e, by `python experiments/performance/pod.py`. **Nothing "
        "here was measured.**",
        "",
        "Compiled: images, memory, FLOP, traffic and exchanges of a chip. Assumed: the time of "
        "exchanges, that nothing overlaps with them, that no chip waits for images, and the share "
        f"of the peak. Two public runs on TPU v3 at batch 32,768 reached {runs}. The tables take "
        f"{100 * found[0]:.0f} %; at {100 * found[1]:.0f} % arithmetic takes "
        f"{found[0] / found[1]:.1f} times as long.",
        "",
        *update_table(updates, found[0]),
        "",
        *plan_table(updates, found[0]),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the page and writes it."""
    text = page(compiled_updates(RESULTS / "compiled.json"))
    print(text)
    (RESULTS / "pod.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
