"""Profiling: a trace of what the devices and the host did during some updates."""

from pathlib import Path
from typing import Any

import jax


class ProfiledUpdates:
    """Context manager: traces some updates of a run.

    The trace is written for XProf (`pip install xprof; xprof --logdir FOLDER`) and for
    ui.perfetto.dev, which opens the file `perfetto_trace.json.gz` in the folder. A profiled run
    waits for the devices before and after the trace, so do not compare its seconds with those of
    other runs.

    Args:
        folder: the folder to write the trace to.
        first: the first update to trace.
        end: the update after the last one to trace.

    Attributes:
        stops: the updates before which a dispatch has to end.

    Raises:
        ValueError: when there is no update to trace.
    """

    def __init__(self, folder: Path, first: int, end: int):
        require_updates(first, end)
        self.stops = (first, end)
        self._folder, self._is_tracing = folder, False

    def require_within(self, start: int, total: int) -> None:
        """Refuses to trace updates that a run does not make, so that there would be no trace.

        Args:
            start: the first update that the run makes here.
            total: the update after its last one.

        Raises:
            ValueError: when the run does not make the first update to trace.
        """
        if not start <= self.stops[0] < total:
            raise ValueError(
                f"--profile needs a first update within {start} … {total - 1}, which the run "
                f"makes, got {self.stops[0]} {self.stops[1]}."
            )

    def before(self, step: int, sums: Any) -> None:
        """Starts the trace if `step` is its first update.

        Args:
            step: the update that is dispatched next.
            sums: the result of the dispatch before, which has to be finished by then.
        """
        if step == self.stops[0] and not self._is_tracing:
            jax.block_until_ready(sums)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._is_tracing = True

    def after(self, step: int, sums: Any) -> None:
        """Ends the trace if the last dispatch made its last update.

        Args:
            step: the update that is dispatched next.
            sums: the result of the last dispatch, which belongs to the trace as a whole.
        """
        if step == self.stops[1]:
            jax.block_until_ready(sums)
            self._end()

    def _end(self) -> None:
        if self._is_tracing:
            jax.profiler.stop_trace()
            self._is_tracing = False

    def __enter__(self) -> "ProfiledUpdates":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()  # in case the run ended within the traced updates


def require_updates(first: int, end: int) -> None:
    """Raises a ValueError unless there are updates from `first` up to `end`."""
    if not 0 <= first < end:
        raise ValueError(
            f"--profile needs a first update and a later one to stop before, got {first} {end}; "
            "100 110 traces ten updates, after a hundred to warm up."
        )
