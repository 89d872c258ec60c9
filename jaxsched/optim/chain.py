"""Builds an optimizer's Optax chain from settings that are schedules."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax.numpy as jnp
import optax

from jaxsched.plan import Plan
from jaxsched.schedules import Constant, Schedule
from jaxsched.schedules.base import ScheduleLike, is_known

if TYPE_CHECKING:
    Setting: TypeAlias = ScheduleLike | float
else:
    # The annotation of an optimizer's scheduled fields. At run time such a field holds a Schedule,
    # and this is the type that a command line needs in order to build one.
    Setting: TypeAlias = Schedule

# How the weight decay depends on the learning rate; see `SGD`.
Coupling: TypeAlias = Literal["l2", "times_lr", "independent"]

# A transformation of the chain and its name, which is also its name in checkpoints.
Link: TypeAlias = tuple[str, optax.GradientTransformation]

ZERO = Constant(0.0)


def is_zero(schedule: Setting) -> bool:
    """Returns whether a setting is known to be the constant 0; a traced number may be anything."""
    return isinstance(schedule, Constant) and is_known(schedule.value) and schedule == ZERO


def inject_schedules(
    factory: Callable[..., optax.GradientTransformation], plan: Plan, **arguments: Any
) -> optax.GradientTransformationExtraArgs:
    """Builds the factory's transformation with schedules in epochs among its arguments.

    Every update evaluates the schedules anew. Their values and all float arguments are in the
    state, where `hyperparams` finds them, in float32 whatever the parameters' dtype: in bfloat16
    a learning rate would be off by 0.1 %.
    """
    fixed = [name for name, value in arguments.items() if not isinstance(value, Schedule | float)]
    injected = optax.inject_hyperparams(factory, static_args=fixed, hyperparam_dtype=jnp.float32)
    return injected(
        **{
            name: plan.in_updates(value) if isinstance(value, Schedule) else value
            for name, value in arguments.items()
        }
    )


def couple_weight_decay(
    plan: Plan,
    lr: Setting,
    moments: list[Link],
    weight_decay: Setting,
    coupling: Coupling,
) -> list[Link]:
    """Arranges moments, weight decay and learning rate in the order that the coupling implies.

    A weight decay that is the constant 0 has no link.

    Raises:
        ValueError: if the coupling is unknown.
    """
    scale = [
        ("learning_rate", inject_schedules(optax.scale_by_learning_rate, plan, learning_rate=lr))
    ]
    decay = []
    if not is_zero(weight_decay):
        # `scale_by_learning_rate` changes the sign of the updates. After it, decay must subtract.
        sign = -1 if coupling == "independent" else 1

        def decay_weights(weight_decay):
            return optax.add_decayed_weights(sign * weight_decay)

        decay = [("weight_decay", inject_schedules(decay_weights, plan, weight_decay=weight_decay))]
    orders = {
        "l2": [*decay, *moments, *scale],
        "times_lr": [*moments, *decay, *scale],
        "independent": [*moments, *scale, *decay],
    }
    if coupling not in orders:
        raise ValueError(f"coupling must be one of {list(orders)}, got {coupling!r}.")
    return orders[coupling]
