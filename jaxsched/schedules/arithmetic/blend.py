"""From one value to another: the two curves that schedules are pieced together from."""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsched.schedules.base import Number, as_float, require

Curve: TypeAlias = Literal["linear", "cosine"]


def require_fall(owner: str, peak: Number, end: Number) -> None:
    """Raises `ValueError` when a schedule that falls from `peak` to `end` would rise."""
    require(
        lambda peak, end: end <= peak,
        peak,
        end,
        message=f"{owner} falls from peak to end, got peak={peak} and end={end}, which would rise; "
        "swap them, or use Warmup or Linear to rise.",
    )


def half_wave(share: jax.Array) -> jax.Array:
    """½(1 − cos(π · share)), accurate near share = 0."""
    return jnp.square(jnp.sin(jnp.float32(0.5 * jnp.pi) * share))


def blend(
    first: ArrayLike, last: ArrayLike, done: jax.Array, left: jax.Array, curve: Curve
) -> jax.Array:
    """`first` where nothing is done, `last` where nothing is left, along `curve` between them."""
    if curve == "cosine":
        done, left = half_wave(done), half_wave(left)
    return as_float(first) * left + as_float(last) * done
