"""When a run has diverged, by one rule wherever runs are made.

A run ends as diverged when its training loss, its test loss or the squared norm of its weights is
not finite. The norm may overflow while losses are still finite, because a network with norms gives
the same outputs at any scale of its weights. The average is not looked at: the weights themselves
may be sound, and go on.
"""

import math

from jaxsched.train.evaluation import Evaluation


def divergence_in_training(update: int) -> str:
    """Returns the reason of a run whose training loss is not finite at this update."""
    return f"diverged at update {update}: the training loss is not finite"


def divergence_at(row: Evaluation) -> str:
    """Returns why a run has diverged at this evaluation; "" if it has not."""
    measured = {
        "the test loss": row.test_loss,
        "the squared norm of the weights": row.squared_norm,
    }
    lost = [name for name, value in measured.items() if not math.isfinite(value)]
    return f"diverged at update {row.step - 1}: {lost[0]} after it is not finite" if lost else ""
