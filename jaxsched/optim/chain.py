"""Builds an optimizer's Optax chain from settings that are schedules."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxsched.optim.fields import is_number, is_traced
from jaxsched.optim.kernels import Which, mask_of
from jaxsched.plan import Plan
from jaxsched.schedules import Constant, Schedule
from jaxsched.schedules.base import ScheduleLike, is_known
from jaxsched.schedules.custom.function import as_schedule
from jaxsched.transforms.leaves import is_inexact

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


def as_setting(owner: str, name: str, value: Any) -> Schedule:
    """Returns a number as a `Constant`, a schedule unchanged, and another function as a `Function`.

    Raises:
        ValueError: if the value is anything else.
    """
    if is_traced(value) and is_number(value):
        return Constant(value)
    if is_number(value) and math.isfinite(value):
        return Constant(float(value))
    if callable(value) and not isinstance(value, type):
        return as_schedule(owner, value)
    raise ValueError(
        f"{owner} needs {name} to be a finite number, a schedule or a function of epochs, got "
        f"{value!r}."
    )


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
    return _keep_dtypes(
        injected(
            **{
                name: plan.in_updates(value) if isinstance(value, Schedule) else value
                for name, value in arguments.items()
            }
        )
    )


def _keep_dtypes(
    tx: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """Returns the transformation with updates and a state that keep their dtypes.

    A float32 hyper-parameter makes float32 of all that it multiplies. Its products are rounded to
    the dtypes that came in; else a bfloat16 state would double at the first update, and the second
    one would compile anew.
    """

    def init(params: optax.Params) -> optax.OptState:
        with jax.numpy_dtype_promotion("standard"):
            return tx.init(params)

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
        **extra_args: Any,
    ) -> tuple[optax.Updates, optax.OptState]:
        # Strict promotion would forbid these products, and Optax's own Adam, which counts in int32.
        with jax.numpy_dtype_promotion("standard"):
            new_updates, new_state = tx.update(updates, state, params, **extra_args)
        return _cast_like(updates, new_updates), _cast_like(state, new_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _cast_like(reference: Any, tree: Any) -> Any:
    """Casts every leaf that has a floating-point dtype in the reference to that dtype.

    An integer parameter keeps its floating-point updates, as with Optax: rounded they would be 0.
    """

    def cast(leaf: Any, other: Any) -> Any:
        # None is the gradient of what is not trained.
        if leaf is None or other is None or not is_inexact(other):
            return leaf
        dtype = jnp.result_type(other)
        return leaf if jnp.result_type(leaf) == dtype else jnp.asarray(leaf).astype(dtype)

    return jax.tree.map(cast, tree, reference, is_leaf=lambda leaf: leaf is None)


def couple_weight_decay(
    plan: Plan,
    lr: Setting,
    moments: list[Link],
    weight_decay: Setting,
    coupling: Coupling,
    decay_mask: Which,
) -> list[Link]:
    """Arranges moments, weight decay and learning rate in the order that the coupling implies.

    A weight decay that is the constant 0 has no link.
    """
    scale = [
        ("learning_rate", inject_schedules(optax.scale_by_learning_rate, plan, learning_rate=lr))
    ]
    decay = []
    if not is_zero(weight_decay):
        # `scale_by_learning_rate` changes the sign of the updates. After it, decay must subtract.
        sign = -1 if coupling == "independent" else 1

        def decay_weights(weight_decay):
            return optax.add_decayed_weights(sign * weight_decay, mask_of(decay_mask))

        decay = [("weight_decay", inject_schedules(decay_weights, plan, weight_decay=weight_decay))]
    orders = {
        "l2": [*decay, *moments, *scale],
        "times_lr": [*moments, *decay, *scale],
        "independent": [*moments, *scale, *decay],
    }
    return orders[coupling]
