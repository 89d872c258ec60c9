"""How far off are range-test rules where the answer is known: ours, fastai's and Lightning's?

    python experiments/checks/range_rules.py

The script draws 200 noisy curves for each of three shapes, two noises and 100, 200 and 400 updates,
and as many of two flat shapes and a faint one. Every rule gets the same losses and sees them as its
framework does: with the framework's own mean and own stop, and without the points that it leaves
out. The rules of other frameworks are written anew from the published procedures of fastai at
commit 0a049e8 (fastai/callback/schedule.py: LRFinder, lr_find, valley, slide, minimum, steep; the
mean is AvgSmoothLoss of fastai/learner.py) and Lightning at commit 0012782
(src/lightning/pytorch/tuner/lr_finder.py: _LRCallback, _LRFinder.suggestion). Prints the table of
experiments/README.md; writes experiments/results/range_rules/. A minute on one core.

A rule's target is one of three learning rates: where the noise-free loss falls fastest per decade
("steepest"), where it is lowest ("lowest"), and where it has risen from there by one standard
deviation of the noise ("end").
"""

import json
import math
import pathlib
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np

import jaxsched as js
from jaxsched.lr_finder.rules import minimum_tenth, smith_max, steepest, valley
from jaxsched.lr_finder.trend import find_trend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = pathlib.Path(__file__).parents[1] / "results" / "range_rules"
LOW, HIGH = -6.0, 1.0  # log10 of the learning rates
DRAWS = 200
LENGTHS = (100, 200, 400)
NOISES = (0.05, 0.2)  # the standard deviation of a loss
GONE = 1e4  # a loss above this has overflowed
BETA = 0.98  # of both frameworks
INK, MUTED, GRID = "#22262b", "#6b7480", "#e6e9ed"
COLOURS = {"jaxsched": "#1f5fbf", "fastai": "#e07b1a", "Lightning": "#b03a8c"}
STYLES = {"steepest": "-", "lowest": "--", "end": ":"}

Rule = Callable[[np.ndarray, np.ndarray], float | None]
Shape = Callable[[np.ndarray], np.ndarray]


def falls(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A logistic fall from 0 to −1."""
    return -1 / (1 + np.exp(-(x - centre) / width))


# Losses as functions of the log10 learning rate: a usual one, a slow one with a gentle rise, and
# one that falls just before it diverges.
SHAPES: dict[str, Shape] = {
    "usual": lambda x: 2.3 + 1.7 * falls(x, -2.0, 0.35) + np.exp(x / 0.12),
    "slow": lambda x: 2.3 + 1.5 * falls(x, -2.5, 0.8) + 0.9 * np.exp((x - 0.3) / 0.35),
    "cliff": lambda x: 2.3 + 1.4 * falls(x, -1.2, 0.15) + np.exp((x + 0.4) / 0.06),
}
FLAT: dict[str, Shape] = {
    "flat": lambda x: np.full_like(x, 2.3),
    "flat, then diverges": lambda x: 2.3 + np.exp(x / 0.12),
    "faint, falls by 0.2": lambda x: 2.3 + 0.2 * falls(x, -2.0, 0.35) + np.exp(x / 0.12),
}


def draw(shape: Shape, number: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws the learning rates and losses of one run; a loss that has overflowed is NaN."""
    x = np.linspace(LOW, HIGH, number)
    losses = shape(x) + np.random.default_rng(seed).normal(0, noise, number)
    return 10**x, np.where(losses > GONE, np.nan, losses)


def truth(shape: Shape, noise: float) -> dict[str, float]:
    """Computes the targets, as log10 learning rates."""
    x = np.linspace(LOW, HIGH, 70_001)
    losses = shape(x)
    bottom = losses.argmin()
    risen = (losses > losses[bottom] + noise) & (x > x[bottom])
    return {
        "steepest": float(x[np.gradient(losses, x).argmin()]),
        "lowest": float(x[bottom]),
        "end": float(x[risen.argmax()]),
    }


def means_of_fastai(losses: np.ndarray) -> np.ndarray:
    """Computes the debiased means that fastai records, up to the first above 4 times the best."""
    mean, best, means = 0.0, math.inf, []
    for count, loss in enumerate(losses, start=1):
        mean = loss + BETA * (mean - loss)
        means.append(mean / (1 - BETA**count))
        best = min(best, means[-1])
        if means[-1] > 4 * best:
            break
    return np.array(means)


def by_fastai(rule: Callable[[np.ndarray, np.ndarray], float]) -> Rule:
    """Wraps a rule as `lr_find` calls it: without the first tenth, the last five, and after NaN."""

    def run(rates: np.ndarray, losses: np.ndarray) -> float | None:
        means = means_of_fastai(losses)
        shown = slice(len(rates) // 10, len(means) - 5)
        seen_rates, seen = rates[shown], means[shown]
        missing = np.flatnonzero(np.isnan(seen))
        if len(missing):
            seen_rates, seen = seen_rates[: missing[0]], seen[: missing[0]]
        return rule(seen_rates, seen)

    return run


def fastai_valley(rates: np.ndarray, losses: np.ndarray) -> float:
    """Returns a middle of the longest decreasing subsequence."""
    lengths = np.ones(len(losses), int)
    for i in range(1, len(losses)):
        above = lengths[:i][losses[:i] > losses[i]]
        lengths[i] = above.max(initial=0) + 1
    end = int(lengths.argmax())
    third = lengths[end] / 3
    return float(rates[end - lengths[end] + int(third) + int(third / 2)])


def fastai_slide(rates: np.ndarray, losses: np.ndarray) -> float:
    """Moves a window of 15 from the right until the slopes at its ends agree within 0.005."""
    slopes = np.gradient(losses)
    right, left = -1, -16
    rate = rates[left]
    while left >= -len(losses) and abs(slopes[right] - slopes[left]) > 0.005:
        rate = rates[left]
        right, left = right - 1, left - 1
    return float(rate)


def fastai_steep(rates: np.ndarray, losses: np.ndarray) -> float:
    """Returns the steepest difference of neighbours on a logarithmic axis."""
    return float(rates[(np.diff(losses) / np.diff(np.log(rates))).argmin()])


def fastai_minimum(rates: np.ndarray, losses: np.ndarray) -> float:
    """Returns a tenth of the minimum's learning rate."""
    return float(rates[losses.argmin()] / 10)


def lightning(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """Returns the steepest slope of the means on a *linear* axis, without 10 points and the last.

    Lightning debiases the means with one step too many, so that a constant loss starts at half of
    its value.
    """
    mean, best, means = 0.0, 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = BETA * mean + (1 - BETA) * loss
        means.append(mean / (1 - BETA ** (step + 1)))
        stops = step > 1 and means[-1] > 4 * best
        best = means[-1] if means[-1] < best or step == 1 else best
        if stops:
            break
    seen, seen_rates = np.array(means)[10:-1], rates[: len(means)][10:-1]
    finite = np.isfinite(seen)
    if finite.sum() < 2:
        return None
    return float(seen_rates[finite][np.gradient(seen[finite], seen_rates[finite]).argmin()])


def ours(rule: Callable[[js.RangeCurve], float | None]) -> Rule:
    """Wraps a rule of jaxsched: it sees the run up to where `js.range_test` would have stopped."""

    def run(rates: np.ndarray, losses: np.ndarray) -> float | None:
        end = js.RangeCurve(rates, losses).diverged_at
        stopped = slice(None if end is None else end + 1)
        return rule(js.RangeCurve(rates[stopped], losses[stopped]))

    return run


class Entry(NamedTuple):
    """A rule, whose it is, and the target that it times `factor` should hit."""

    whose: str
    rule: Rule
    target: str
    factor: float = 1.0


RULES = {
    "steepest": Entry("jaxsched", ours(steepest), "steepest"),
    "valley": Entry("jaxsched", ours(valley), "steepest"),
    "fastai steep": Entry("fastai", by_fastai(fastai_steep), "steepest"),
    "fastai valley": Entry("fastai", by_fastai(fastai_valley), "steepest"),
    "fastai slide": Entry("fastai", by_fastai(fastai_slide), "steepest"),
    "Lightning": Entry("Lightning", lightning, "steepest"),
    "minimum_tenth": Entry("jaxsched", ours(minimum_tenth), "lowest", 10),
    "fastai minimum": Entry("fastai", by_fastai(fastai_minimum), "lowest", 10),
    "smith_max": Entry("jaxsched", ours(smith_max), "end"),
}


class Errors(NamedTuple):
    """How far a rule's answers are off, in decades; negative where they are too low."""

    answered: int
    drawn: int
    off: float
    low: float
    median: float
    high: float


def errors(name: str, shape: str, number: int, noise: float) -> Errors:
    """Computes the median size of the error, and 5 %, median and 95 % of the signed error."""
    entry = RULES[name]
    target = truth(SHAPES[shape], noise)[entry.target]
    answers = [entry.rule(*draw(SHAPES[shape], number, noise, seed)) for seed in range(DRAWS)]
    known = np.array([answer for answer in answers if answer is not None])
    off = np.log10(known * entry.factor) - target
    numbers = (np.median(np.abs(off)), *np.percentile(off, (5, 50, 95)))
    return Errors(len(known), DRAWS, *(round(float(number), 4) for number in numbers))


def share_called_flat(shape: Shape, number: int, noise: float) -> float:
    """Computes the share of draws that are called flat."""
    curves = [js.RangeCurve(*draw(shape, number, noise, seed)) for seed in range(DRAWS)]
    trends = [find_trend(curve) for curve in curves]
    return statistics.mean(trend is None or trend.is_flat for trend in trends)


def measure() -> dict[str, list]:
    """Measures everything that the JSON file holds: errors in decades, shares of the draws."""
    cases = [(number, noise) for number in LENGTHS for noise in NOISES]
    rules = [
        {"rule": name, "shape": shape, "updates": number, "noise": noise}
        | errors(name, shape, number, noise)._asdict()
        for name in RULES
        for shape in SHAPES
        for number, noise in cases
    ]
    flat = [
        {"shape": name, "updates": number, "noise": noise}
        | {"called_flat": share_called_flat(shape, number, noise)}
        for name, shape in (FLAT | SHAPES).items()
        for number, noise in cases
    ]
    return {"rules": rules, "flat": flat}


def table(measured: dict[str, list]) -> str:
    """Markdown table of factors: a column for each shape, medians over all lengths and noises."""
    lines = [
        f"| rule | its target | {' | '.join(SHAPES)} | 5 to 95 % | worst 5 to 95 % |",
        "| --- | --- |" + " ---: |" * (len(SHAPES) + 2),
    ]
    for name, entry in RULES.items():
        rows = [row for row in measured["rules"] if row["rule"] == name]
        cells = [
            statistics.median(row["off"] for row in rows if row["shape"] == shape)
            for shape in SHAPES
        ]
        widths = [row["high"] - row["low"] for row in rows]
        cells += [statistics.median(widths), max(widths)]
        lines.append(f"| {title(name)} | {entry.target} | {' | '.join(map(factor, cells))} |")
    return "\n".join(lines)


def title(name: str) -> str:
    """Returns the rule's name in the table."""
    return f"{name}, times 10" if RULES[name].factor > 1 else name


def factor(decades: float) -> str:
    """Formats the factor with two digits."""
    return f"{float(f'{10**decades:.2g}'):,.10g}"


def flat_table(measured: dict[str, list]) -> str:
    """Lists how often each shape is called flat, over all lengths."""
    lines = []
    for name in FLAT | SHAPES:
        for noise in NOISES:
            case = {"shape": name, "noise": noise}
            rows = [row for row in measured["flat"] if case.items() <= row.items()]
            called = round(DRAWS * sum(row["called_flat"] for row in rows))
            drawn = DRAWS * len(rows)
            lines.append(f"{name}, noise {noise}: called flat in {called} of {drawn} draws")
    return "\n".join(lines)


def draw_curve(ax: "Axes", shape: str, number: int, noise: float) -> None:
    """Draws one noisy run and the loss behind it."""
    x = np.linspace(LOW, HIGH, 1000)
    rates, losses = draw(SHAPES[shape], number, noise, seed=0)
    ax.plot(rates, losses, ".", color=MUTED, markersize=3, alpha=0.6)
    ax.plot(10**x, SHAPES[shape](x), color=INK, linewidth=2)
    ax.set_ylim(0, 3.4)
    ax.set_title(shape, loc="left", fontsize=12, fontweight="bold", color=INK)


def draw_answers(ax: "Axes", measured: dict[str, list], shape: str, number: int, noise: float):
    """Draws what each rule answers: the median, and a line from 5 to 95 %."""
    targets = truth(SHAPES[shape], noise)
    for place, (name, entry) in enumerate(RULES.items()):
        case = {"rule": name, "shape": shape, "updates": number, "noise": noise}
        row = next(row for row in measured["rules"] if case.items() <= row.items())
        low, median, high = (
            10 ** (targets[entry.target] + row[k]) for k in ("low", "median", "high")
        )
        colour = COLOURS[entry.whose]
        ax.plot([low, high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        ax.plot(median, place, "o", color=colour, markersize=7, markeredgecolor="white")
    ax.set_yticks(range(len(RULES)), [title(name) for name in RULES])
    ax.set_ylim(len(RULES) - 0.5, -0.5)


def draw_figure(measured: dict[str, list], number: int = 200, noise: float = 0.2) -> None:
    """Draws the shapes, and below each where the rules put their points."""
    figure, axes = plt.subplots(
        2, len(SHAPES), figsize=(12.5, 6.4), sharex=True, sharey="row", height_ratios=(1, 1.15)
    )
    for (above, below), shape in zip(axes.T, SHAPES, strict=True):
        draw_curve(above, shape, number, noise)
        draw_answers(below, measured, shape, number, noise)
        for name, x in truth(SHAPES[shape], noise).items():
            for ax in (above, below):
                ax.axvline(10**x, color=INK, linewidth=1, linestyle=STYLES[name], zorder=0)
            side = "left" if name == "end" else "right"
            above.text(
                10**x, 0.05, name, rotation=90, va="bottom", ha=side, fontsize=8, color=MUTED
            )
    for ax in axes.flat:
        ax.set(xscale="log", xlim=(10**LOW, 10**HIGH), xticks=(1e-6, 1e-4, 1e-2, 1))
        ax.tick_params(which="both", length=0, labelsize=9, labelcolor=MUTED)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GRID)
    axes[0, 0].set_ylabel("loss", color=MUTED)
    for label, name in zip(axes[1, 0].get_yticklabels(), RULES, strict=True):
        label.set_color(COLOURS[RULES[name].whose])
    figure.supxlabel(
        f"learning rate; {DRAWS} runs of {number} updates, noise {noise}: median and middle 90 %",
        fontsize=10,
        color=MUTED,
    )
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    figure.savefig(RESULTS / "range_rules.png", dpi=120)
    plt.close(figure)


def write_json(measured: dict[str, list]) -> None:
    """Writes the JSON with a row on each line."""
    blocks = (
        f"{json.dumps(name)}: [\n" + ",\n".join(map(json.dumps, rows)) + "\n]"
        for name, rows in measured.items()
    )
    text = "{\n" + ",\n".join(blocks) + "\n}\n"
    (RESULTS / "range_rules.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Measures, writes, prints and draws."""
    measured = measure()
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(measured)
    draw_figure(measured)
    print(table(measured), flat_table(measured), sep="\n\n")


if __name__ == "__main__":
    main()
