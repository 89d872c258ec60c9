"""Reads an average out of an optimizer's state."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from optax.contrib import ScheduleFreeState

from jaxsched.transforms.averaging import AverageParamsState
from jaxsched.transforms.base import find_states
from jaxsched.transforms.leaves import in_accumulator, is_inexact
from jaxsched.transforms.placement import is_last, require_last


def averaged_params(opt_state: optax.OptState, params: optax.Params) -> optax.Params:
    """Returns the mean that `average_params`, `swag` or a schedule-free optimizer keeps.

    A schedule-free optimizer of `optax.contrib` trains at y, which are `params`, keeps z in its
    state, and is to be evaluated at x, a mean of all z:

        x = z + (y − z) / b1,   which is optax.contrib.schedule_free_eval_params

    Its b1 has to be a constant, as in the paper.

    While nothing is in the mean, it returns `params`. The average is found in any chain, however
    nested; the averages of several groups of parameters, as under `optax.partition`, make one tree.
    Parameters that a mask kept from averaging are returned as they are, and so is what is no real
    or complex number, such as a counter, a random key or a module's function. Works under `jit`.

    Flax NNX and Equinox: give the state of an `nnx.Optimizer` as it stands, and for the parameters
    those alone (`nnx.state(model, nnx.Param)`, `eqx.filter(model, eqx.is_inexact_array)`) or the
    whole model. Of a whole model there comes another, with the average in it and all else, such as
    batch-norm statistics, as it is; the given one stays.

    Args:
        opt_state: the state of any Optax optimizer with an `average_params`, a `swag` or a
            `schedule_free` in it.
        params: the current parameters.

    Returns:
        The mean, with the structure, shapes and dtypes of `params`.

    Raises:
        ValueError: if the state holds no average, one of other parameters, or more than one of the
            same, such as an `average_params` behind a schedule-free optimizer, which would average
            y; or if the average is followed by transformations that change the updates.

    Warns:
        UserWarning: if the mean is not finite; not under `jit`.

    Source:
        Defazio et al., "The road less scheduled" (arXiv 2405.15682), equations 3 to 5.

    Example:
        >>> import jax.numpy as jnp, optax, jaxsched as js
        >>> tx = optax.chain(optax.adam(0.1), js.average_params(js.every(1)))
        >>> w = jnp.array([1.0, 2.0])
        >>> js.averaged_params(tx.init(w), w)
        Array([1., 2.], dtype=float32)

        The same with Flax NNX, and with Equinox:

        >>> from flax import nnx
        >>> tx = optax.chain(optax.sgd(1.0), js.average_params(lambda step: True))
        >>> model = nnx.Linear(2, 1, kernel_init=nnx.initializers.ones, rngs=nnx.Rngs(0))
        >>> optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        >>> for _ in range(3):
        ...     gradients = nnx.grad(lambda model: model(w).sum())(model)
        ...     _ = optimizer.update(model, gradients)
        >>> averaged = js.averaged_params(optimizer.opt_state, model)  # another nnx.Linear
        >>> float(model(w)[0]), float(averaged(w)[0])
        (-15.0, -9.0)

        >>> import equinox as eqx, jax
        >>> model = eqx.nn.Linear(2, 1, key=jax.random.key(0))
        >>> state = tx.init(eqx.filter(model, eqx.is_inexact_array))
        >>> for _ in range(3):
        ...     gradients = eqx.filter_grad(lambda model: model(w).sum())(model)
        ...     params = eqx.filter(model, eqx.is_inexact_array)
        ...     updates, state = tx.update(gradients, state, params)
        ...     model = eqx.apply_updates(model, updates)
        >>> averaged = js.averaged_params(state, model)  # another eqx.nn.Linear
        >>> round(float(averaged(w)[0] - model(w)[0]), 4)
        6.0
    """
    if not keeps_average(opt_state):
        raise ValueError(
            "averaged_params needs a state with an average_params or a schedule_free in it, got 0; "
            "add average_params(at) or swag(at) as the last of the chain."
        )
    require_last(opt_state, AverageParamsState, "averaged_params")
    if not is_last(opt_state, ScheduleFreeState):
        raise ValueError(
            "averaged_params needs a schedule-free optimizer that is the last of its chain, got "
            "one that is followed by transformations which change the updates, such as a plateau's "
            "scale or factors of layers, so that y moves otherwise than z and there is no mean to "
            "evaluate; put them into its base optimizer."
        )
    means = _kept(find_states(opt_state, AverageParamsState))
    return _read([*means, *_schedule_free(opt_state)], params, "averaged_params")


def keeps_average(opt_state: optax.OptState) -> bool:
    """Returns whether a state has an average, see `averaged_params`, which may be empty."""
    return any(find_states(opt_state, kind) for kind in (AverageParamsState, ScheduleFreeState))


def num_averaged(opt_state: optax.OptState) -> int:
    """Returns the number of weights in the state's average; 0 for a state without one.

    Those of a schedule-free optimizer are its z, one of each update.
    """
    kept = [int(state.num_averaged) for state in find_states(opt_state, AverageParamsState)]
    steps: list[Any] = [state.step_count for state in find_states(opt_state, ScheduleFreeState)]
    return max([*kept, *(int(step) - 1 for step in steps)], default=0)  # they count from 1


class _Average(NamedTuple):
    """An average in a state."""

    held: optax.Params  # what is kept of each parameter
    num_averaged: Any  # int32[]
    read: Callable[[Any, Any], Any]  # (what is held, current parameter) -> mean


def _kept(averages: Sequence[AverageParamsState]) -> list[_Average]:
    return [_Average(a.mean, a.num_averaged, lambda mean, current: mean) for a in averages]


def _schedule_free(opt_state: optax.OptState) -> list[_Average]:
    return [
        _Average(state.z, state.step_count - 1, partial(_evaluation_point, state.b1))
        for state in find_states(opt_state, ScheduleFreeState)
    ]


def _evaluation_point(b1: Any, z: Any, y: Any) -> jax.Array:
    """Returns x, of which y = (1 − b1) z + b1 x."""
    y = in_accumulator(y)
    z = jnp.asarray(z).astype(y.dtype)
    return z + (y - z) / jnp.asarray(b1).astype(y.dtype)


def read_means(
    averages: Sequence[AverageParamsState], params: optax.Params, name: str
) -> optax.Params:
    """Returns the parameters with the means of these averages in the places that each is for."""
    return _read(_kept(averages), params, name)


def _read(averages: Sequence[_Average], params: optax.Params, name: str) -> optax.Params:
    """Returns the parameters with the means in the places of those that have one."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    columns = [_in_places_of(average.held, leaves, name) for average in averages]
    read, means = [], {}
    for i, (path, current) in enumerate(leaves):
        held = [
            (column[i], average)
            for column, average in zip(columns, averages, strict=True)
            if not _is_masked(column[i])
        ]
        if len(held) > 1:
            raise ValueError(
                f"{name} needs one average of each parameter, got {len(held)}; give it the part of "
                "the state that you mean. Behind a schedule-free optimizer, which keeps an average "
                "itself, leave averaging out."
            )
        if held and is_inexact(current):
            ((part, average),) = held
            _require_same_shape(part, current, path, name)
            mean = means[jax.tree_util.keystr(path)] = average.read(part, current)
            mean = jnp.asarray(mean).astype(jnp.result_type(current))
            current = jnp.where(average.num_averaged > 0, mean, current)
        read.append(current)
    _warn_unless_finite(means, name)
    return jax.tree.unflatten(structure, read)


def _in_places_of(mean: optax.Params, leaves: Sequence[tuple[Any, Any]], name: str) -> list[Any]:
    """Returns the mean's part for each leaf of the parameters, which come with their paths.

    A masked node may stand for a whole subtree, and one stands for a leaf that the mean knows not,
    such as a function in a module. The names on the way are compared rather than the containers:
    NNX's variables and Linen's boxes may be around the one and not around the other, and NNX's
    optimizer keeps the attributes of a module as entries of a dictionary.
    """
    parts = jax.tree_util.tree_leaves_with_path(mean, is_leaf=_is_masked)
    held = {_names(path): part for path, part in parts}
    places = [_names(path) for path, _ in leaves]
    starts = [[place[:n] for n in range(len(place), -1, -1)] for place in places]
    found = [next((start for start in each if start in held), None) for each in starts]
    if {place for place, part in held.items() if not _is_masked(part)} <= set(found):
        return [optax.MaskedNode() if place is None else held[place] for place in found]
    if len(held) == len(leaves):
        return list(held.values())
    raise ValueError(
        f"{name} needs the parameters that the average was made of, got {len(leaves)} arrays where "
        f"the state has {len(held)}; give it the params of the same optimizer."
    )


def _names(path: jax.tree_util.KeyPath) -> tuple[str, ...]:
    """Returns the names on the way to a leaf, the same for an attribute and for an entry."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def _require_same_shape(mean: Any, current: Any, path: jax.tree_util.KeyPath, name: str) -> None:
    """Raises `ValueError` if a mean is not of this parameter: the two would be broadcast."""
    if jnp.shape(mean) != jnp.shape(current):
        place = jax.tree_util.keystr(path) or "the parameters"
        raise ValueError(
            f"{name} needs the parameters that the average was made of, got {jnp.shape(current)} "
            f"at {place} where the state has {jnp.shape(mean)}; give it the params of the same "
            "optimizer."
        )


def _is_masked(node: object) -> bool:
    return isinstance(node, optax.MaskedNode)


def _warn_unless_finite(means: Mapping[str, Any], name: str) -> None:
    """Warns if a mean is not finite: it never forgets what entered it."""
    finite = {
        path: jnp.isfinite(mean).all()
        for path, mean in means.items()
        # Of a part that other processes have, this one cannot tell alone.
        if not isinstance(mean, Tracer) and getattr(mean, "is_fully_addressable", True)
    }
    bad = [path for path, is_finite in jax.device_get(finite).items() if not is_finite]
    if bad:
        warnings.warn(
            f"{name} found a mean that is not finite, at {bad[0] or 'the parameters'}: weights "
            "that were not finite entered it, and it never forgets them. Start a new mean from "
            "finite weights, and keep such updates out with optax.apply_if_finite around the "
            "whole chain.",
            stacklevel=3,
        )
