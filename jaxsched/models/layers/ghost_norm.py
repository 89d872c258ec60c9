"""Batch norm over groups of successive examples, used by `BatchNorm(ghost=n)` in training."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn.initializers import Initializer, zeros
from jax.typing import DTypeLike

from jaxsched.models.checks import divisors


class GhostBatchNorm(nn.Module):
    """Normalises each channel over groups of `ghost` successive examples of the global batch.

    Formula:
        y = (x − mean) / √(var + epsilon) · scale + bias     over a group's examples and pixels
        running ← momentum · running + (1 − momentum) · the mean over all groups

    For training only. Parameters and statistics have the names and shapes of those of
    `nn.BatchNorm`, which is used in evaluation.

    Attributes:
        ghost: the number of examples in a group.
        momentum: the share of the running statistics that is kept at each update.
        epsilon: added to the variance.
        dtype: the dtype of the result. Statistics and parameters are float32.
        axis_name: the mapped axis of the batch, or None where x is the global batch.
        scale_init: the initialiser of the scale.

    Raises:
        ValueError: when the global batch does not divide into groups.

    Example:
        >>> x = jnp.array([[1.0], [3.0], [10.0], [30.0]])
        >>> layer = GhostBatchNorm(2)
        >>> y, _ = layer.apply(layer.init(jax.random.key(0), x), x, mutable=["batch_stats"])
        >>> y.ravel().round(3)
        Array([-1.,  1., -1.,  1.], dtype=float32)
    """

    ghost: int
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None
    scale_init: Initializer = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises x[b, ..., channels] and updates the running statistics."""
        channels = x.shape[-1:]
        scale = self.param("scale", self.scale_init, channels)
        bias = self.param("bias", zeros, channels)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        # Initialisation uses a batch of any size, which need not divide into groups.
        if self.is_initializing():
            return x.astype(self.dtype)

        pixels = tuple(range(1, x.ndim - 1))
        wide = x.astype(jnp.float32)
        moments = jnp.stack([jnp.mean(wide, pixels), jnp.mean(wide * wide, pixels)], axis=1)
        groups, statistics = _group_statistics(moments, self.ghost, self.axis_name)
        running_mean.value = self._updated(running_mean.value, groups[:, 0])
        running_var.value = self._updated(running_var.value, groups[:, 1])

        mean, var = jnp.unstack(statistics, axis=1)
        factor = lax.rsqrt(var + self.epsilon) * scale[None]
        mean, factor, bias = (jnp.expand_dims(v, pixels) for v in (mean, factor, bias[None]))
        return ((wide - mean) * factor + bias).astype(self.dtype)

    def _updated(self, running: jax.Array, groups: jax.Array) -> jax.Array:
        """The mean over all groups of the running statistics stepped by each, [channels]."""
        stepped = self.momentum * running[None] + (1 - self.momentum) * groups
        devices = 1 if self.axis_name is None else lax.axis_size(self.axis_name)
        # Divided before they are added up, so that a compiler can add up several micro-batches
        # first and exchange their sum once, as it does with gradients.
        mean = jnp.sum(stepped / (devices * len(groups)), axis=0)
        return mean if self.axis_name is None else lax.psum(mean, self.axis_name)


def _group_statistics(
    moments: jax.Array, ghost: int, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """The mean and variance of each group, and of each example's group.

    Only the examples' moments are exchanged between devices, never their pixels, wherever the
    groups end.

    Args:
        moments: [b, 2, channels], the mean and the mean square of each of this device's examples.
        ghost: the number of examples in a group.
        axis_name: the mapped axis of the batch, or None.

    Returns:
        The mean and variance of each group, [groups, 2, channels]: of this device's groups, or of
        all where one spans devices; and those for each of this device's examples, [b, 2, channels].
    """
    mine = len(moments)
    devices = 1 if axis_name is None else lax.axis_size(axis_name)
    _require_whole_groups(mine, devices, ghost)
    # The longest run of examples of which every group and every device hold a whole number.
    run = math.gcd(mine, ghost)
    runs = _pool(moments, run)
    spans_devices = axis_name is not None and run < ghost
    if spans_devices:
        runs = lax.all_gather(runs, axis_name, tiled=True)
    mean, square = jnp.unstack(_pool(runs, ghost // run), axis=1)
    # The difference of two squares may be rounded to a negative variance.
    groups = jnp.stack([mean, jnp.maximum(square - mean * mean, 0.0)], axis=1)
    runs = jnp.repeat(groups, ghost // run, axis=0)
    if spans_devices:
        start = lax.axis_index(axis_name) * (mine // run)
        runs = lax.dynamic_slice_in_dim(runs, start, mine // run)
    return groups, jnp.repeat(runs, run, axis=0)


def _pool(moments: jax.Array, count: int) -> jax.Array:
    """The means of every `count` successive rows."""
    return jnp.mean(moments.reshape(-1, count, *moments.shape[1:]), axis=1)


def _require_whole_groups(mine: int, devices: int, ghost: int) -> None:
    batch = devices * mine
    if batch % ghost:
        raise ValueError(
            f"BatchNorm(ghost={ghost}) needs batches that divide into groups of {ghost} examples, "
            f"got a batch or micro-batch of {batch}; choose a multiple of "
            f"{math.lcm(ghost, devices)}, or a ghost of one of {divisors(batch)}."
        )
