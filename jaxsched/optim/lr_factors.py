"""Factors of the learning rate by layer: slower, faster and frozen groups."""

import math
from typing import Any, NamedTuple, TypeAlias

import jax
import optax
from jax import lax

from jaxsched.optim.chain import Link
from jaxsched.optim.fields import is_known_number
from jaxsched.optim.layer_patterns import first_matches, matches, parameter_names
from jaxsched.transforms.placement import passes_updates

# Patterns of layers' names, each with its factor; the first that names a layer counts.
LrFactors: TypeAlias = tuple[tuple[str, float], ...]


def require_lr_factors(owner: str, lr_factors: Any) -> LrFactors:
    """Returns the factors as tuples.

    Raises:
        ValueError: unless they are pairs of a text and a finite number of at least 0.
    """
    is_sequence = isinstance(lr_factors, tuple | list)
    for pair in lr_factors if is_sequence else [lr_factors]:
        is_pair = isinstance(pair, tuple | list) and len(pair) == 2
        if not (is_sequence and is_pair and isinstance(pair[0], str) and _is_factor(pair[1])):
            raise ValueError(
                f"{owner} needs lr_factors as pairs of a pattern and a finite factor of at least "
                f'0, got {pair!r}; write for instance lr_factors=(("stem*", 0.0), ("stage*", 0.1)).'
            )
    return tuple((pattern, float(factor)) for pattern, factor in lr_factors)


def _is_factor(value: Any) -> bool:
    return is_known_number(value) and math.isfinite(value) and value >= 0


def factors_of(lr_factors: LrFactors, params: Any) -> Any:
    """Returns the factor of each parameter, as a tree; 1 for those that no pattern names.

    Example:
        >>> from jaxsched.optim.lr_factors import factors_of
        >>> factors_of((("stem", 0.0), ("*/bias", 2.0)), {"head": {"bias": 1}, "stem": {"bias": 1}})
        {'head': {'bias': 2.0}, 'stem': {'bias': 0.0}}
    """

    def factor(name: str) -> float:
        return next((factor for pattern, factor in lr_factors if matches(name, pattern)), 1.0)

    factors = [factor(name) for name in parameter_names(params)]
    return jax.tree.unflatten(jax.tree.structure(params), factors)


def require_layers(owner: str, lr_factors: LrFactors, params: Any) -> None:
    """Raises a `ValueError` when a pattern names no layer, or when nothing is left to train."""
    patterns = [pattern for pattern, _ in lr_factors]
    first_matches(f"{owner}'s lr_factors", parameter_names(params), patterns)
    if not any(jax.tree.leaves(factors_of(lr_factors, params))):
        raise ValueError(
            f"{owner} needs lr_factors that leave a layer to train, got the factor 0 for all of "
            f"them from {lr_factors}."
        )


def stop_frozen(params: Any, factors: Any) -> Any:
    """Returns parameters of which those with the factor 0 get no gradient; none is computed.

    Args:
        params: a tree of arrays.
        factors: the factor of each.
    """
    return jax.tree.map(lambda w, factor: w if factor else lax.stop_gradient(w), params, factors)


@passes_updates
class FrozenAloneState(NamedTuple):
    """State of factors that are all 0 or 1: what is trained gets its updates unchanged."""


def scale_by_factors(lr_factors: LrFactors) -> optax.GradientTransformation:
    """Multiplies each parameter's update by its factor; those with the factor 0 it never sees."""
    if all(factor in (0, 1) for _, factor in lr_factors):
        return optax.GradientTransformation(
            lambda params: FrozenAloneState(), lambda updates, state, params=None: (updates, state)
        )

    def scaled(update: Any, factor: float) -> Any:
        return update if factor == 1 else update * factor

    return optax.stateless(
        lambda updates, _: jax.tree.map(scaled, updates, factors_of(lr_factors, updates))
    )


def train_only(owner: str, lr_factors: LrFactors, links: list[Link]) -> list[Link]:
    """Returns the links around a chain that sees nothing of the parameters whose factor is 0.

    Their updates are 0, and no buffer is kept for them. Neither ABEL's norm nor the noise scale
    counts them, and an average of them is what they are.
    """

    def is_frozen(params: Any) -> Any:
        require_layers(owner, lr_factors, params)
        return jax.tree.map(lambda factor: factor == 0, factors_of(lr_factors, params))

    def is_trained(params: Any) -> Any:
        return jax.tree.map(lambda factor: factor > 0, factors_of(lr_factors, params))

    return [
        ("frozen", optax.masked(optax.set_to_zero(), is_frozen)),
        ("trained", optax.masked(optax.named_chain(*links), is_trained)),
    ]
