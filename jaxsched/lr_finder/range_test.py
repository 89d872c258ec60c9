"""A learning-rate range test for any training step."""

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

# Reading the losses waits for the device; once in 50 updates the wait does not show.
_UPDATES_PER_CHECK = 50
_MIN_UPDATES = 20


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
    """Raises a value from update to update and records the loss of each update's batch.

    Formula, update i of n:
        value_i = low · (high / low)^(i / (n − 1))      scale "log"
        value_i = low + (high − low) · i / (n − 1)      scale "linear"

    The value is a learning rate if the step uses it as one; a step may use it as momentum or weight
    decay as well. The step is compiled once. A diverged run stops: the losses are checked every 50
    updates, and those after the divergence are left out.

    Args:
        step: `(state, batch, value) -> (state, loss)`, traceable; it may return `(loss, accuracy)`
            in place of the loss. The loss is the batch's mean before the update, the value f32[].
        state: the state before the first update, a pytree. It is copied; yours stays valid.
        batches: pytrees of arrays, all of the same shapes; each update takes the next one. A list
            that is too short can be repeated with `itertools.cycle`.
        low: the first value.
        high: the last value.
        num_updates: n, at least 20.
        scale: how the values are spaced, "log" or "linear".
        stop_factor: the run has diverged when its loss has risen by (stop_factor − 1) times its
            largest fall so far, and beyond the noise, see `find_divergence`; with `math.inf` only
            when a loss is not finite.

    Returns:
        The curve, for `js.suggest`.

    Raises:
        ValueError: when an argument is out of its range, there are too few batches or their shapes
            differ, the step returns something else, or the first loss is not finite.

    Source:
        Smith, "Cyclical learning rates" (arXiv 1506.01186), section 3.3; the logarithmic spacing is
        fastai's.

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
        (155, '0.047')
    """
    _require_range(low, high, num_updates, scale)
    require_factor(stop_factor)
    spaced = np.geomspace if scale == "log" else np.linspace
    values = spaced(low, high, num_updates).astype(np.float32)
    metrics = _run(step, state, batches, values, stop_factor)
    if not np.isfinite(metrics[0, 0]):
        raise ValueError(
            f"range_test needs a finite first loss, got {metrics[0, 0]} at the lowest value, "
            f"{low:g}: lower low if the run diverges there, or correct the loss."
        )
    accuracies = metrics[:, 1] if metrics.shape[1] > 1 else None
    return RangeCurve(
        values[: len(metrics)], metrics[:, 0], accuracies, axis=scale, stop_factor=stop_factor
    )


def _run(
    step: Step, state: PyTree, batches: Iterable[PyTree], values: np.ndarray, stop_factor: float
) -> np.ndarray:
    """Loss, and accuracy if there is one, of each update up to a divergence: f32[m, 1 or 2]."""
    update = jax.jit(_measured(step), donate_argnums=0)
    # The copies may be donated; the caller's arrays must not be.
    state = jax.tree.map(lambda leaf: _strongly_typed(jnp.array(leaf, copy=True)), state)
    pending: list[jax.Array] = []
    seen = np.zeros((0, 1))
    for value, batch in zip(values, _checked(batches, len(values)), strict=True):
        state, metrics = update(state, batch, value)
        pending.append(metrics)
        if len(pending) == _UPDATES_PER_CHECK or len(seen) + len(pending) == len(values):
            new = np.stack(jax.device_get(pending))
            seen = np.concatenate([seen, new]) if len(seen) else new
            pending.clear()
            diverged = find_divergence(seen[:, 0], stop_factor)
            if diverged is not None:
                return seen[: diverged + 1]
    return seen


def _measured(step: Step) -> Callable[..., tuple[PyTree, jax.Array]]:
    """The step with its metrics as one array; checks what it returns while it is traced."""

    def update(state: PyTree, batch: PyTree, value: jax.Array) -> tuple[PyTree, jax.Array]:
        returned = step(state, batch, value)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            raise ValueError(
                "range_test needs a step that returns (state, loss) or (state, (loss, accuracy)), "
                f"got {type(returned).__name__}."
            )
        new_state, measured = returned
        _require_same("state", state, new_state)
        metrics = [*measured] if isinstance(measured, tuple) else [measured]
        if not 1 <= len(metrics) <= 2 or any(jnp.shape(metric) for metric in metrics):
            raise ValueError(
                "range_test needs a step whose loss is a scalar, or (loss, accuracy) of scalars, "
                f"got shapes {[jnp.shape(metric) for metric in metrics]}; take the batch's mean."
            )
        stacked = jnp.stack([jnp.float32(metric) for metric in metrics])
        return jax.tree.map(_strongly_typed, new_state), stacked

    return update


def _checked(batches: Iterable[PyTree], number: int) -> Iterator[PyTree]:
    """Yields this many batches.

    Raises:
        ValueError: when there are fewer, or one differs in shape from the first.
    """
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


def _strongly_typed(leaf: Any) -> jax.Array:
    """The array without JAX's weak type: a state that gains or loses it would be compiled again."""
    return jax.lax.convert_element_type(leaf, jnp.result_type(leaf))


def _require_same(name: str, first: PyTree, other: PyTree) -> None:
    """Raises `ValueError` if a tree's structure, shapes or types differ from the first one's."""
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
    """Raises `ValueError` for a range that no run can go through."""
    if scale not in ("log", "linear"):
        raise ValueError(f"range_test needs a scale of 'log' or 'linear', got {scale!r}.")
    if scale == "log" and not low > 0:
        raise ValueError(f"range_test needs a low above 0 on the log scale, got {low}.")
    if not low >= 0:
        raise ValueError(f"range_test needs a low of at least 0, got {low}.")
    if not (low < high < math.inf):
        raise ValueError(f"range_test needs a finite high above low, got low={low}, high={high}.")
    if num_updates < _MIN_UPDATES:
        raise ValueError(
            f"range_test needs at least {_MIN_UPDATES} updates, got num_updates={num_updates}; use "
            "100 or more for a curve that can be read."
        )
