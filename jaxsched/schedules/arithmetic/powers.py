"""Powers of a factor, accurate after millions of updates."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxsched.schedules.arithmetic.moment import Values
from jaxsched.schedules.arithmetic.times import Number, as_float, is_known
from jaxsched.schedules.base import require

# A learning rate below e^-64 is nothing; growing powers stop at e^64 so that they stay finite.
_LARGEST_LOG = 64.0
_LARGEST_COUNT = 2.0**31


def require_factor(owner: str, factor: Number) -> None:
    """Raises `ValueError` if a factor is negative."""
    require(
        lambda factor: factor >= 0,
        factor,
        message=f"{owner} needs a factor of at least 0, got {factor}.",
    )


def _split_log(factor: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Splits log(factor) into its leading 12 bits and the rest; both are 0 for a factor of 0."""
    if is_known(factor):
        known = np.asarray(factor, np.float64)
        log = np.log(np.where(known > 0, known, 1.0))
        mantissa, exponent = np.frexp(log)
        lead = np.ldexp(np.round(mantissa * 2**12) / 2**12, exponent)
        return as_float(lead), as_float(log - lead)
    factor = as_float(factor)
    log = jnp.log(jnp.where(factor > 0, factor, 1.0))
    # Clearing the last 12 of float32's 24 bits leaves a number of 12 bits.
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(log), jnp.int32)
    lead = jax.lax.bitcast_convert_type(bits & ~0xFFF, jnp.float32)
    return lead, log - lead


def products(factors: tuple[ArrayLike, ...], count: Values) -> Values:
    """Computes the product of the first `count` factors; there are at least as many."""
    if is_known(*factors):
        table = np.cumprod(np.array([1.0, *factors]))
        return (table if is_known(count) else as_float(table))[count]
    return jnp.cumprod(jnp.stack([jnp.ones((), np.float32), *map(as_float, factors)]))[count]


def powers(factor: ArrayLike, count: Values) -> Values:
    """Computes factor^count for count ≥ 0 in float32, within a few units in the last place.

    `factor ** count` in float32 has a relative error of count · 6e-8, because the factor's rounding
    error is raised to the count too. Here the exponent, count · log(factor), is kept in two floats:
    the leading parts of both have 12 bits each, so that their products are exact. A factor that is
    a Python number enters with its full precision.

    Example:
        >>> print(f"{float(powers(0.999_999_9, 10_000_000)):.6f}, and 1/e is {np.exp(-1):.6f}")
        0.367879, and 1/e is 0.367879
    """
    if is_known(factor, count):
        known = np.asarray(factor, np.float64)[()]
        log = np.log(known) if known > 0 else np.float64(0)
        power = np.exp(np.minimum(np.minimum(count, _LARGEST_COUNT) * log, _LARGEST_LOG))
        return power if known > 0 else np.float64(count <= 0)
    lead, rest = _split_log(factor)
    # The count is split too: `coarse` has its bits above the twelfth, `fine` the twelve below.
    count = jnp.minimum(as_float(count), _LARGEST_COUNT)
    coarse = jnp.floor(count / 2**12) * 2**12
    fine = count - coarse
    whole = coarse * lead + fine * lead
    # What the sum above rounded away.
    lost = fine * lead - (whole - coarse * lead)
    power = jnp.exp(jnp.minimum(whole, _LARGEST_LOG))
    # Not `power * exp(lost + …)`: XLA would merge it into the other exponential, where adding the
    # small exponent to the large one rounds it away.
    power += power * jnp.expm1(jnp.clip(lost + count * rest, -1.0, 1.0))
    return jnp.where(as_float(factor) > 0, power, as_float(count <= 0))
