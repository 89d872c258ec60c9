"""Momentum whose velocity keeps its effect when the momentum changes."""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike


class VelocityState(NamedTuple):
    """The state of `rescaled_velocity`."""

    velocity: optax.Updates  # of the parameters' structure
    last: jax.Array  # f32[], the momentum of the update before


def rescaled_velocity(decay: ArrayLike, nesterov: bool = False) -> optax.GradientTransformation:
    """Returns heavy-ball momentum that multiplies the velocity where the momentum changes.

    Under a steady gradient g the velocity is g / (1 − momentum). When the momentum changes, it
    takes about 1 / (1 − momentum) updates until it is so again; multiplied, it is so at once. It is
    then a running mean of gradients, divided by 1 − momentum. With a constant momentum it is
    `optax.trace`.

    Formula:
        v ← momentum · (1 − last momentum) / (1 − momentum) · v + g

    Args:
        decay: the momentum, below 1; at 1 nothing is multiplied.
        nesterov: whether the momentum is Nesterov's.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.optim.velocity import rescaled_velocity
        >>> state = rescaled_velocity(0.5).init(jnp.ones(()))._replace(velocity=jnp.float32(2.0))
        >>> update, _ = rescaled_velocity(0.75).update(jnp.ones(()), state)
        >>> float(update), 1 / (1 - 0.75)
        (4.0, 4.0)
    """

    def init(params: optax.Params) -> VelocityState:
        return VelocityState(optax.tree.zeros_like(params), jnp.asarray(decay, jnp.float32))

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, VelocityState]:
        del params
        velocity, last = cast(VelocityState, state)
        now = jnp.asarray(decay, jnp.float32)
        ends = (now < 1) & (last < 1)
        factor = now * jnp.where(ends, (1 - last) / jnp.where(ends, 1 - now, 1.0), 1.0)
        velocity = jax.tree.map(lambda g, v: g + factor * v, updates, velocity)
        if nesterov:
            updates = jax.tree.map(lambda g, v: g + now * v, updates, velocity)
        else:
            updates = velocity
        return updates, VelocityState(velocity, now)

    return optax.GradientTransformation(init, update)
