"""The links of an optimizer's chain: each scheduled setting as an Optax transformation."""

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
    # At run time the field holds a Schedule, which is what a command line can look into.
    Setting: TypeAlias = Schedule

Coupling: TypeAlias = Literal["l2", "times_lr", "independent"]


Link: TypeAlias = tuple[str, optax.GradientTransformation]


ZERO = Constant(0.0)


def is_zero(schedule: Setting) -> bool:
    """Whether it is known to be the constant 0; a traced number may be anything."""
    return isinstance(schedule, Constant) and is_known(schedule.value) and schedule == ZERO


def scheduled(
    factory: Callable[..., optax.GradientTransformation], plan: Plan, **arguments: Any
) -> optax.GradientTransformationExtraArgs:
    """The factory's transformation, its scheduled arguments set anew at every update.

    Float32 whatever the parameters' dtype: a learning rate in bfloat16 is off by 0.1 %.
    """
    fixed = [name for name, value in arguments.items() if not isinstance(value, Schedule | float)]
    injected = optax.inject_hyperparams(factory, static_args=fixed, hyperparam_dtype=jnp.float32)
    return injected(
        **{
            name: plan.schedule(value) if isinstance(value, Schedule) else value
            for name, value in arguments.items()
        }
    )


def links(
    plan: Plan,
    lr: Setting,
    moments: list[Link],
    weight_decay: Setting,
    coupling: Coupling,
) -> list[Link]:
    """The links in the order that the coupling of the weight decay asks for."""
    rate = [("learning_rate", scheduled(optax.scale_by_learning_rate, plan, learning_rate=lr))]
    shrink = []
    if not is_zero(weight_decay):
        # Past the learning rate, and so past its change of sign, the decay subtracts.
        sign = -1 if coupling == "independent" else 1

        def decay_weights(weight_decay):
            return optax.add_decayed_weights(sign * weight_decay)

        shrink = [("weight_decay", scheduled(decay_weights, plan, weight_decay=weight_decay))]
    orders = {
        "l2": [*shrink, *moments, *rate],
        "times_lr": [*moments, *shrink, *rate],
        "independent": [*moments, *rate, *shrink],
    }
    if coupling not in orders:
        raise ValueError(f"coupling must be one of {list(orders)}, got {coupling!r}.")
    return orders[coupling]
