"""The number of updates that the host dispatches at once."""

import time

# Long enough that the host's cost of a dispatch does not count; short enough that progress is shown
# and a signal is obeyed without delay.
_DISPATCH_SECONDS = 1.0


class DispatchSizer:
    """Sizes dispatches to take about one second each, by the speed of the updates before.

    Attributes:
        updates: how many updates the next dispatch should make.
    """

    def __init__(self):
        self.updates = 1
        self._before: tuple[int, float] | None = None

    def done(self, step: int) -> None:
        """Notes that the updates before `step` are finished at this moment."""
        now = time.perf_counter()
        if self._before is not None:
            step_before, then = self._before
            updates_per_second = (step - step_before) / max(now - then, 1e-6)
            # At most doubled, because the time of a few updates says little about that of many.
            self.updates = max(
                1, min(2 * self.updates, int(_DISPATCH_SECONDS * updates_per_second))
            )
        self._before = (step, now)

    def pause(self) -> None:
        """Notes that something else, such as an evaluation, comes before the next update."""
        self._before = None
