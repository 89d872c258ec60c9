"""The pace of a run: how many updates make one dispatch."""

import time

# Long enough that what a dispatch costs the host does not count, short enough that progress and an
# interrupt come through at once.
_DISPATCH_SECONDS = 1.0


class DispatchSizer:
    """How many updates make a dispatch of about `_DISPATCH_SECONDS`, from those done so far."""

    def __init__(self):
        self.updates = 1
        self._before: tuple[int, float] | None = None

    def done(self, step: int) -> None:
        """Takes that the updates before `step` are done now."""
        now = time.perf_counter()
        if self._before is not None:
            step_before, then = self._before
            rate = (step - step_before) / max(now - then, 1e-6)
            self.updates = max(1, min(2 * self.updates, int(_DISPATCH_SECONDS * rate)))
        self._before = (step, now)

    def pause(self) -> None:
        """Takes that something else comes before the next update."""
        self._before = None
