"""The schedules that are compared, each as a link of an Optax chain that ends in Adam's step.

Each takes the peak learning rate, which may be traced, so that one program serves all of them.
"""

from typing import Any

import jax
import optax
from ppo import UPDATES_PER_ITERATION

import jaxsched as js

NUM_ITERATIONS, NUM_EVALUATIONS = 48, 24
NUM_UPDATES = NUM_ITERATIONS * UPDATES_PER_ITERATION
UPDATES_PER_EVALUATION = NUM_UPDATES // NUM_EVALUATIONS
LATE, FACTOR = int(0.85 * NUM_UPDATES), 0.1  # the paper's last decay, and its factor


def constant(peak: jax.Array) -> optax.GradientTransformation:
    """Never decays."""
    return _adam(js.Constant(peak))


def linear(peak: jax.Array) -> optax.GradientTransformation:
    """Decays to 0 all along, as is usual for PPO."""
    return _adam(js.Linear(peak, 0.0, NUM_UPDATES))


def cosine(peak: jax.Array) -> optax.GradientTransformation:
    """Decays to 0 along half a cosine."""
    return _adam(js.Cosine(peak, NUM_UPDATES))


def late(peak: jax.Array) -> optax.GradientTransformation:
    """Decays once, at 85 % of the updates."""
    return _adam(js.MultiStep(peak, milestones=(LATE,), factor=FACTOR))


def abel(peak: jax.Array) -> optax.GradientTransformation:
    """Decays by the paper's rule, which takes the first turn of the weight norm for a minimum."""
    return _with_abel(peak)


def abel_guarded(peak: jax.Array) -> optax.GradientTransformation:
    """Decays only where the weight norm fell, rose and falls again, each time by 1 % or more."""
    return _with_abel(peak, guard_rising=True, dead_band=0.01)


def _with_abel(peak: jax.Array, **guards: Any) -> optax.GradientTransformation:
    measures = js.every(UPDATES_PER_EVALUATION)
    bounce = js.scale_by_abel(FACTOR, at=measures, last_decay_at=LATE, **guards)
    return optax.chain(_adam(js.Constant(peak)), bounce)


def _adam(schedule: optax.Schedule) -> optax.GradientTransformation:
    return optax.inject_hyperparams(optax.adam)(learning_rate=schedule, eps=1e-5)


SCHEDULES = {link.__name__: link for link in (constant, linear, cosine, late, abel, abel_guarded)}
