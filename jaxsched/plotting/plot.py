"""Plots of schedules, before anything is trained."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxsched.extras import require_extra
from jaxsched.schedules.base import ScheduleLike
from jaxsched.schedules.custom.function import as_schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# So many points that a jump is drawn as a vertical line.
_NUM_POINTS = 2001


def plot(
    schedules: ScheduleLike | Mapping[str, ScheduleLike],
    duration: float,
    *,
    unit: str = "updates",
    ax: "Axes | None" = None,
) -> "Axes":
    """Plots one or several schedules over [0, duration] on shared axes.

    A jump is drawn as a vertical line. Save the figure with `ax.figure.savefig("schedules.png")`.

    Args:
        schedules: a schedule or any function of time, or several by their names in the legend.
        duration: how far to draw, in the schedules' unit of time.
        unit: that unit, for the label of the time axis.
        ax: the Matplotlib axes to draw on; None makes a new figure.

    Returns:
        The axes.

    Raises:
        ImportError: if Matplotlib is missing; names the extra that brings it.
        ValueError: if the duration is not above 0, or if something is not a schedule.

    Example:
        >>> import matplotlib; matplotlib.use("Agg")
        >>> import jaxsched as js
        >>> ax = js.plot({"cosine": js.Cosine(0.1, 90), "REX": js.Rex(0.1, 90)}, 90, unit="epochs")
        >>> ax.get_xlabel(), [line.get_label() for line in ax.get_lines()]
        ('epochs', ['cosine', 'REX'])
    """
    if not duration > 0:
        raise ValueError(f"plot needs a duration above 0, got duration={duration}.")
    if ax is None:
        # Here, not at the top: `import jaxsched` must not load Matplotlib.
        require_extra("plot", "plot", "matplotlib")
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
    named = schedules if isinstance(schedules, Mapping) else {"": schedules}
    times = np.linspace(0, duration, _NUM_POINTS)
    for name, schedule in named.items():
        values = as_schedule("plot", schedule)(jnp.asarray(times, jnp.float32))
        ax.plot(times, np.asarray(values), label=name or None)
    ax.set_xlabel(unit)
    ax.set_xlim(0, duration)
    ax.spines[["top", "right"]].set_visible(False)
    if isinstance(schedules, Mapping):
        ax.legend(frameon=False)
    return ax
