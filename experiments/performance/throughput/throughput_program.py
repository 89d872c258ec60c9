"""The steps of a contestant that is a `Program`."""

from collections.abc import Callable

import jax

from jaxsched.train import Program
from jaxsched.train.step.state import TrainState


def steps_of(run: Program, state: TrainState, most: int) -> Callable[[int], None]:
    """Returns a function that makes so many updates, always those of the first epoch.

    Args:
        run: the program.
        state: its first state, which is overwritten.
        most: the most updates of a dispatch, which stays within an epoch.
    """
    sums = run.zero_sums()

    def steps(count: int) -> None:
        nonlocal state, sums
        while count:
            now = min(count, most)
            state, sums = run.update(state, sums, seed=0, step=0, count=now)
            count -= now
        jax.block_until_ready(sums)

    return steps
