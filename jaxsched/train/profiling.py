"""A trace of chosen updates: what the devices and the host did, to the microsecond."""

from pathlib import Path
from typing import Any

import jax


class ProfiledUpdates:
    """Traces some updates of a run.

    The trace is written for XProf (`pip install xprof; xprof --logdir FOLDER`) and for
    ui.perfetto.dev, which opens the `perfetto_trace.json.gz` in it. A profiled run waits for the
    devices before and after the trace, so its seconds are not to be compared.

    Args:
        folder: where to write.
        first: the first update.
        end: the update after the last one.

    Attributes:
        stops: updates before which a dispatch has to end.

    Raises:
        ValueError: when there is no update to trace.
    """

    def __init__(self, folder: Path, first: int, end: int):
        if not 0 <= first < end:
            raise ValueError(
                f"--profile needs a first update and a later one to stop before, got {first} "
                f"{end}; 100 110 traces ten updates, after those that warm up."
            )
        self.stops = (first, end)
        self._folder, self._is_tracing = folder, False

    def before(self, step: int, sums: Any) -> None:
        """Begins the trace where this is its first update; `sums` are those of the one before."""
        if step == self.stops[0] and not self._is_tracing:
            jax.block_until_ready(sums)
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
            self._is_tracing = True

    def after(self, step: int, sums: Any) -> None:
        """Ends the trace where `sums`, of the update before `step`, are the last ones."""
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
        self._end()  # of a run that ended on the way
