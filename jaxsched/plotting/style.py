"""How curves of several experiments are told apart, in pictures and on the page."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind readers too; black is left for the target.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
# Of the first seven curves, the next seven, and so on: lengths on and off; dots are for averages.
_DASHES = ((), (6, 2), (6, 2, 1, 2), (6, 2, 1, 2, 1, 2))


def colour(number: int) -> str:
    """Of the n-th curve, from 0."""
    return COLOURS[number % len(COLOURS)]


def dashes(number: int) -> tuple[int, ...]:
    """Of the n-th curve, from 0: lengths on and off, none for a solid line."""
    return _DASHES[number // len(COLOURS) % len(_DASHES)]


def curve_style(number: int) -> dict[str, Any]:
    """Of the n-th curve, from 0."""
    return {"color": colour(number), "linestyle": (0, dashes(number)) if dashes(number) else "-"}


def plain(axis: "Axes") -> "Axes":
    """The axes with a light grid and without a frame."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.6)
    return axis
