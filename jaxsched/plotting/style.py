"""Colours and dashes that tell the curves of several experiments apart, in plots and on the page.

Curves are numbered from 0: the number alone decides how a curve looks, so that an experiment looks
the same in all plots of a study.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxsched.output import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; their black is left for the
# target.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
# Lengths on and off, for the first seven curves, the next seven, and so on. Dots are kept for
# averaged weights.
_DASHES = ((), (6, 2), (6, 2, 1, 2), (6, 2, 1, 2, 1, 2))


def colour(number: int) -> str:
    """Returns the colour of curve `number`, in hexadecimal."""
    return COLOURS[number % len(COLOURS)]


def dashes(number: int) -> tuple[int, ...]:
    """Returns the dashes of curve `number`: lengths on and off, none for a solid line."""
    return _DASHES[number // len(COLOURS) % len(_DASHES)]


def curve_style(number: int) -> dict[str, Any]:
    """Returns the colour and the dashes of curve `number` as arguments for Matplotlib."""
    return {"color": colour(number), "linestyle": (0, dashes(number)) if dashes(number) else "-"}


def plain(axis: "Axes") -> "Axes":
    """Gives the axes a light grid and removes their frame; returns them."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.6)
    return axis


def save_figure(figure: "Figure", path: Path) -> None:
    """Writes a figure as an image, in the format of the path's suffix.

    Raises:
        OSError: when it cannot be written; a file that was there before is kept.
    """
    with replacing(path) as beside:
        figure.savefig(beside, dpi=150)
