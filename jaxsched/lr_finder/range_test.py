"""A range test with anyone's own training step."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.lr_finder.curve import Axis, RangeCurve
from jaxsched.lr_finder.divergence import find_divergence, require_factor

PyTree: TypeAlias = Any
Step: TypeAlias = Callable[[PyTree, PyTree, jax.Array], tuple[PyTree, PyTree]]

# A look at the losses waits for the device; every so many updates it costs nothing that shows.
_LOOK_EVERY = 50
_FEWEST = 20


def range_test(
    step: Step,
    state: PyTree,
    batches: Iterable[PyTree],
    *,
    low: float = 1e-5,
    high: float = 10.0,
    num_updates: int = 200,
    scale: Axis = "log",
    stop_factor: float = 4.0,
) -> RangeCurve:
    """Raises a value from update to update and records what each update's batch loses.

    Formula, update i of n:
        value_i = low · (high / low)^(i / (n − 1))      scale "log"
        value_i = low + (high − low) · i / (n − 1)      scale "linear"

    The value is a learning rate where the step takes it for one; momentum or weight decay go the
    same way. The step is compiled once. A diverged run stops: the losses are looked at every 50
    updates, and those after the divergence left out.

    Args:
        step: `(state, batch, value) -> (state, loss)`, traceable; or `(loss, accuracy)` in place of
            the loss. The loss is the mean over the batch, before the update; the value f32[].
        state: whatever the step goes on with. It is copied, and yours stays as it is.
        batches: pytrees of arrays, all of the same shapes: one an update, none is used twice. A
            list that is too short can be repeated with `itertools.cycle`.
        low: the first value.
        high: the last.
        num_updates: n, at least 20.
        scale: how the values are spaced, "log" or "linear".
        stop_factor: the run has diverged when the mean of its losses exceeds so many times its
            best, see `find_divergence`; `math.inf` to go on while they are finite.

    Returns:
        The curve; `js.suggest` reads it.

    Raises:
        ValueError: when an argument is out of its range, the batches are too few or of different
            shapes, the step returns something else, or the first loss is not finite.

    Source:
        Smith, "Cyclical learning rates" (arXiv 1506.01186), section 3.3; in equal factors as fastai
        does.

    Example:
        >>> import jax, jax.numpy as jnp, numpy as np, optax
        >>> import jaxsched as js
        >>> tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.0, momentum=0.9)
        >>> def step(state, batch, lr):
        ...     params, opt_state = state
        ...     loss, gradient = jax.value_and_grad(
        ...         lambda w: jnp.mean((batch["x"] @ w - batch["y"]) ** 2)
        ...     )(params)
        ...     opt_state.hyperparams["learning_rate"] = lr
        ...     updates, opt_state = tx.update(gradient, opt_state)
        ...     return (optax.apply_updates(params, updates), opt_state), loss
        >>> x = np.random.default_rng(0).normal(size=(200, 16, 9))
        >>> batches = [{"x": a[:, :8], "y": a.sum(axis=1)} for a in x]  # the ninth is noise
        >>> params = jnp.zeros(8)
        >>> curve = js.range_test(step, (params, tx.init(params)), batches, low=1e-4, high=10.0)
        >>> len(curve.losses), f"{js.suggest(curve).maximum:.2g}"
        (140, '0.04')
    """
    _require_range(low, high, num_updates, scale)
    require_factor(stop_factor)
    spaced = np.geomspace if scale == "log" else np.linspace
    values = spaced(low, high, num_updates).astype(np.float32)
    metrics = _run(step, state, batches, values, stop_factor)
    if not np.isfinite(metrics[0, 0]):
        raise ValueError(
            f"range_test needs a finite first loss, got {metrics[0, 0]} at the lowest value, "
            f"{low:g}: the run diverged there, lower low, or the loss is wrong at its start."
        )
    accuracies = metrics[:, 1] if metrics.shape[1] > 1 else None
    return RangeCurve(values[: len(metrics)], metrics[:, 0], accuracies, axis=scale)


def _run(
    step: Step, state: PyTree, batches: Iterable[PyTree], values: np.ndarray, stop_factor: float
) -> np.ndarray:
    """What each update measured, up to the end or the divergence: f32[m, 1 or 2]."""
    update = jax.jit(_update_of(step), donate_argnums=0)
    state = jax.tree.map(_own, state)
    pending: list[jax.Array] = []
    seen = np.zeros((0, 1))
    for value, batch in zip(values, _alike(batches, len(values)), strict=True):
        state, metrics = update(state, batch, value)
        pending.append(metrics)
        if len(pending) == _LOOK_EVERY or len(seen) + len(pending) == len(values):
            looked_at = np.stack(jax.device_get(pending))
            seen = np.concatenate([seen, looked_at]) if len(seen) else looked_at
            pending.clear()
            diverged = find_divergence(seen[:, 0], stop_factor)
            if diverged is not None:
                return seen[: diverged + 1]
    return seen


def _update_of(step: Step) -> Callable[..., tuple[PyTree, jax.Array]]:
    """The step with its measurements as one array, and its state of the types that it had."""

    def update(state: PyTree, batch: PyTree, value: jax.Array) -> tuple[PyTree, jax.Array]:
        returned = step(state, batch, value)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise ValueError(
                "range_test needs a step that returns (state, loss) or (state, (loss, accuracy)), "
                f"got {type(returned).__name__}."
            )
        new, measured = returned
        _require_same("state", state, new)
        metrics = [*measured] if isinstance(measured, tuple) else [measured]
        if not 1 <= len(metrics) <= 2 or any(jnp.shape(metric) for metric in metrics):
            raise ValueError(
                "range_test needs a step whose loss is a scalar, or (loss, accuracy) of scalars, "
                f"got shapes {[jnp.shape(metric) for metric in metrics]}; take the batch's mean."
            )
        return jax.tree.map(_strong, new), jnp.stack([jnp.float32(metric) for metric in metrics])

    return update


def _alike(batches: Iterable[PyTree], number: int) -> Iterator[PyTree]:
    """So many batches; raises `ValueError` when there are fewer, or one differs from the first."""
    first = None
    count = 0
    for count, batch in enumerate(itertools.islice(batches, number), start=1):
        if first is None:
            first = batch
        _require_same(f"batch {count}", first, batch)
        yield batch
    if count < number:
        raise ValueError(
            f"range_test needs {number} batches, one an update, got {count}; pass more, lower "
            "num_updates, or repeat a list of them with itertools.cycle."
        )


def _own(leaf: Any) -> jax.Array:
    """A copy that may be given away."""
    return _strong(jnp.array(leaf, copy=True))


def _strong(leaf: Any) -> jax.Array:
    """The array without JAX's weak type, whose change would compile the step again."""
    return jax.lax.convert_element_type(leaf, jnp.result_type(leaf))


def _require_same(name: str, first: PyTree, other: PyTree) -> None:
    """Refuses a tree of other shapes or types than the first."""
    was, now = (jax.tree_util.tree_flatten_with_path(tree) for tree in (first, other))
    if was[1] != now[1]:
        raise ValueError(
            f"range_test needs one structure throughout, got {name} as {now[1]} after {was[1]}."
        )
    for (path, one), (_, two) in zip(was[0], now[0], strict=True):
        if (jnp.shape(one), jnp.result_type(one)) != (jnp.shape(two), jnp.result_type(two)):
            raise ValueError(
                f"range_test needs the same shapes and types throughout, got {name}"
                f"{jax.tree_util.keystr(path)} as {_typed(two)} after {_typed(one)}."
            )


def _typed(leaf: Any) -> str:
    return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"


def _require_range(low: float, high: float, num_updates: int, scale: Axis) -> None:
    """Refuses a range that cannot be run through."""
    if scale not in ("log", "linear"):
        raise ValueError(f"range_test needs scale 'log' or 'linear', got {scale!r}.")
    if scale == "log" and not low > 0:
        raise ValueError(f"range_test needs a low above 0 on the log scale, got {low}.")
    if not low >= 0:
        raise ValueError(f"range_test needs a low of at least 0, got {low}.")
    if not (low < high < math.inf):
        raise ValueError(f"range_test needs a finite high above low, got low={low}, high={high}.")
    if num_updates < _FEWEST:
        raise ValueError(
            f"range_test needs at least {_FEWEST} updates, got num_updates={num_updates}; 100 or "
            "more show something."
        )
