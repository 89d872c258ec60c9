"""Plots of the weight norm: whether it bounces, in which layers, and why."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from uniplot import plot_to_string

from jaxsched.plotting.style import COLOURS, plain, save_figure
from jaxsched.tune.weight_norm.bounce import Bounce

NormRows: TypeAlias = Sequence[Mapping[str, Any]]

# As many as in the paper's plots: its ten heaviest layers carry about half of |w|².
_HEAVIEST = 10

# Each colour is for two layers: the second one is dashed, or hatched.
_COLOURS = COLOURS[:5]
_REST = "0.85"
_TERMS = {"gradient": _COLOURS[1], "decay": _COLOURS[0], "alignment": _COLOURS[2]}
_FORMULAS = {
    "gradient": "+η²|g|²",
    "decay": "\N{MINUS SIGN}2ηλ|w|²",
    "alignment": "\N{MINUS SIGN}2η g·w",
}
_SUM = _COLOURS[3]
_FALL, _RISE = _COLOURS[0], _COLOURS[1]
_CAPTION_WIDTH = 158  # characters of the caption in a line
_MEANING = (
    "|w|² falls while weight decay takes more than the gradients add, and bounces when that turns. "
    "The causes are those of plain SGD: measured dots leave their sum where momentum carries a "
    "gradient on for longer than gradients stay alike."
)


def draw_norms(
    rows: NormRows,
    initial_layers: Mapping[str, float],
    bounce: Bounce,
    path: Path,
    *,
    advice: str,
) -> None:
    """Plots four panels: |w|², its causes, the growth of the heaviest layers, and their shares.

    The caption says what the marks mean, and what to do.

    Args:
        rows: the evaluations of a run with `weight_norms`, as records hold them.
        initial_layers: |w|² of each layer before the first update.
        bounce: the trend of the run, see `find_bounce`.
        path: the PNG file to write.
        advice: what the trend means for the choice of a schedule, see `advice`.

    Raises:
        ValueError: when there is no row, or the rows hold no norms by layer.

    Source:
        Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682), section 4, supplement B.2.

    Example:
        >>> import tempfile
        >>> from jaxsched.tune.weight_norm.bounce import find_bounce
        >>> from jaxsched.tune.weight_norm.plots import draw_norms
        >>> rows = [{"epoch": 1.0, "layers": {"stem": 3.0, "head": 1.0}, "norm_change": None}]
        >>> path = Path(tempfile.mkdtemp()) / "norms.png"
        >>> bounce = find_bounce([0, 1], [5.0, 4.0])
        >>> draw_norms(rows, {"stem": 4.0, "head": 1.0}, bounce, path, advice="Look longer.")
        >>> path.exists()
        True
    """
    epochs, layers = _by_layer(rows, initial_layers)
    whole, heaviest = _total(layers), _heaviest(layers)
    caption = textwrap.fill(f"{_MEANING} {advice}", _CAPTION_WIDTH)
    heights = [8.8, 0.3 + 0.17 * len(caption.splitlines())]
    figure = Figure(figsize=(12, sum(heights)), layout="constrained")
    (panels,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
    (total, terms), (growth, shares) = panels.subplots(2, 2)
    _draw_total(total, epochs, whole, bounce)
    _draw_terms(terms, rows, epochs, whole)
    _draw_growth(growth, epochs, {name: layers[name] for name in heaviest})
    _draw_shares(shares, epochs, layers, heaviest)
    for axis in (total, terms, growth, shares):
        plain(axis).set_xlabel("epochs")
        axis.set_xlim(0, epochs[-1])
    bands = shares.collections[: len(heaviest)]
    # About 140 characters fit in a line of the legend; an entry takes 8 more than its name.
    ncols = max(1, min(5, 140 // (max(map(len, heaviest)) + 8)))
    panels.legend(bands, heaviest, loc="outside lower center", ncols=ncols, frameon=False)
    below.text(0.01, 0.95, caption, fontsize=9.5, va="top")
    save_figure(figure, path)


def text_norms(rows: NormRows, initial_layers: Mapping[str, float], *, width: int = 80) -> str:
    """Plots |w|², relative to the initial one, against epochs as text for a terminal.

    Args:
        rows: the evaluations, as for `draw_norms`.
        initial_layers: |w|² of each layer before the first update.
        width: the length of the longest line, in characters.

    Raises:
        ValueError: when there is no row, or the rows hold no norms by layer.

    Example:
        >>> from jaxsched.tune.weight_norm.plots import text_norms
        >>> text = text_norms([{"epoch": 1.0, "layers": {"head": 4.0}}], {"head": 8.0})
        >>> text.splitlines()[0].strip()
        '|w|², % of the initial'
    """
    epochs, layers = _by_layer(rows, initial_layers)
    total = _total(layers)
    return plot_to_string(
        xs=epochs,
        # In per cent, because the axis labels are rounded: 0.45 would read as 0.
        ys=100 * total / total[0],
        title="|w|², % of the initial",
        x_unit=" ep",
        y_unit="%",
        width=width,
        line_length_hard_cap=width,
        height=8,
        lines=True,
        color=False,
        character_set="braille",
    )


def _by_layer(
    rows: NormRows, initial_layers: Mapping[str, float]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The epochs, from 0 on, and each layer's |w|² at them."""
    if not rows or any(row["layers"] is None for row in rows):
        raise ValueError(
            f"plots of norms need evaluations with norms by layer, got {len(rows)} evaluations"
            f"{' without' if rows else ''}; run the experiment with weight_norms=True."
        )
    epochs = np.array([0.0, *(row["epoch"] for row in rows)])
    layers = {
        name: np.array([initial, *(row["layers"][name] for row in rows)])
        for name, initial in initial_layers.items()
    }
    return epochs, layers


def _total(layers: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.sum(list(layers.values()), axis=0)


def _heaviest(layers: Mapping[str, np.ndarray]) -> list[str]:
    """The layers with the largest shares of |w|² over the run, the heaviest first."""
    total = _total(layers)
    return sorted(layers, key=lambda name: -(layers[name] / total).mean())[:_HEAVIEST]


def _draw_total(axis: Axes, epochs: np.ndarray, total: np.ndarray, bounce: Bounce) -> None:
    relative = total / total[0]
    axis.plot(epochs, relative, color="black", marker=".", clip_on=False)
    at = int(np.abs(epochs - bounce.minimum_epoch).argmin())
    highest, risen = int(relative[: at + 1].argmax()), at + int(relative[at:].argmax())
    if bounce.trend in ("bounces", "falls"):
        label = f"fall by {bounce.fall:.1%}"
        axis.axvspan(epochs[highest], epochs[at], color=_FALL, alpha=0.12, lw=0, label=label)
    if bounce.trend in ("bounces", "rises"):
        label = f"rise by {bounce.rise:.1%}"
        axis.axvspan(epochs[at], epochs[risen], color=_RISE, alpha=0.15, lw=0, label=label)
    label = f"minimum, at epoch {epochs[at]:.3g}"
    axis.plot(
        epochs[at], relative[at], "o",
        color=_RISE, markersize=9, zorder=3, clip_on=False, linestyle="", label=label,
    )  # fmt: skip
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 3}
    axis.legend(**below, frameon=False)
    axis.set(ylabel="|w|² / initial |w|²", title=f"the weight norm: {_summary(bounce)}")


def _summary(bounce: Bounce) -> str:
    """The trend as a title."""
    if bounce.trend == "flat":
        return "flat"
    rise = f"rises by {bounce.rise:.1%}"
    if bounce.trend == "rises":
        return rise
    fall = f"falls by {bounce.fall:.1%} until epoch {bounce.minimum_epoch:.3g}"
    return f"bounces\n{fall}, then {rise}" if bounce.trend == "bounces" else fall


def _draw_terms(axis: Axes, rows: NormRows, epochs: np.ndarray, total: np.ndarray) -> None:
    """Plots the change of |w|² per epoch halfway between the evaluations, which may be uneven."""
    middles = (epochs[1:] + epochs[:-1]) / 2
    per_epoch = 100 / (total[0] * np.diff(epochs))
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(title="what changed |w|²", ylabel="% of the initial |w|² per epoch")
    if any(row["norm_change"] is None for row in rows):
        axis.set_title("how |w|² changed (its causes are known for SGD only)")
    else:
        terms = {
            term: per_epoch * [sum(row["norm_change"][term].values()) for row in rows]
            for term in _TERMS
        }
        for term, values in terms.items():
            axis.plot(
                middles, values, color=_TERMS[term], marker=".", label=f"{term} {_FORMULAS[term]}"
            )
        # Above the dots, which would hide it in a run of many evaluations.
        axis.plot(middles, sum(terms.values()), color=_SUM, zorder=3, label="their sum")
    axis.plot(middles, per_epoch * np.diff(total), "o", color="black", ms=4, label="measured")
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 3}
    axis.legend(**below, frameon=False, handlelength=1.5, columnspacing=1.2)


def _draw_growth(axis: Axes, epochs: np.ndarray, layers: Mapping[str, np.ndarray]) -> None:
    """Plots each layer's growth, on a log axis if the layers differ much.

    A layer that starts at 0 has no relative growth and is left out.
    """
    for number, norms in enumerate(layers.values()):
        if norms[0] > 0:
            colour, style = _COLOURS[number % 5], "--" if number >= 5 else "-"
            axis.plot(epochs, norms / norms[0], color=colour, linestyle=style)
    axis.axhline(1, color="black", linewidth=0.8)
    low, high = axis.get_ylim()
    if low <= 0 or high / low > 4:
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter("{x:g}")
    title = "the heaviest layers (dashed: the hatched ones)"
    axis.set(title=title, ylabel="|w|² / its initial |w|²")


def _draw_shares(
    axis: Axes, epochs: np.ndarray, layers: Mapping[str, np.ndarray], heaviest: Sequence[str]
) -> None:
    shares = np.array([100 * layers[name] / _total(layers) for name in heaviest])
    rest = 100 - shares.sum(axis=0)
    colours = [_COLOURS[number % 5] for number in range(len(heaviest))]
    bands = axis.stackplot(
        epochs, *shares, rest, colors=[*colours, _REST], edgecolor="white", linewidth=0.6
    )
    for band in bands[5:-1]:
        band.set_hatch("///")
    first, last = shares.sum(axis=0)[[0, -1]]
    axis.set_ylim(0, 100)
    axis.set(
        title=f"{len(heaviest)} of {len(layers)} layers carry {first:.0f}%, at the end {last:.0f}%",
        ylabel="% of |w|² (grey: the other layers)",
    )
