"""The interface between networks and the trainer: four pure functions, and their spec."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Params: TypeAlias = dict[str, Any]
BatchStats: TypeAlias = dict[str, Any]
# The variables of a network, all float32: "params", which the optimizer updates, and "batch_stats",
# the running means and variances, which is {} for a network without batch norm. Each batch norm has
# a dict of a "mean" and a "var" there, nested like the network's parameters.
Variables: TypeAlias = dict[str, dict[str, Any]]


class Model(NamedTuple):
    """A network as four pure functions, which are all that training and evaluation use.

    B is the number of examples (on this device, under a mapped axis); H × W × C is the image shape.

    Attributes:
        init: `(key, (H, W, C)) -> variables`. The shape is static: `jax.jit(init,
            static_argnums=1)`. Raises `ValueError` for images that are too small for the network.
        train_logits: `(variables, images f32[B, H, W, C], keys key<>[B]) -> (logits f32[B,
            classes], batch_stats)`. Normalises by this batch and returns the new running
            statistics. An example's dropout depends on its own typed PRNG key alone.
        eval_logits: `(variables, images f32[B, H, W, C]) -> logits f32[B, classes]`. Normalises by
            the running statistics, without dropout.
        batch_moments: `(variables, images f32[B, H, W, C]) -> batch_stats`. Normalises by this
            batch, without dropout, and returns the batch's own means and (biased) variances.
        momenta: `((H, W, C)) -> momenta`, shaped like the batch statistics: the share m of each
            running statistic that an update keeps, which becomes m · running + (1 − m) · batch.
            None where it is not known; the statistics then step as the network says, however large
            a batch is.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.models import CifarResNet
        >>> model = CifarResNet(depth=8, width=4).build(num_classes=10)
        >>> variables = jax.eval_shape(lambda key: model.init(key, (8, 8, 1)), jax.random.key(0))
        >>> jax.eval_shape(model.eval_logits, variables, jnp.zeros((2, 8, 8, 1))).shape
        (2, 10)
    """

    init: Callable[[jax.Array, tuple[int, int, int]], Variables]
    train_logits: Callable[[Variables, jax.Array, jax.Array], tuple[jax.Array, BatchStats]]
    eval_logits: Callable[[Variables, jax.Array], jax.Array]
    batch_moments: Callable[[Variables, jax.Array], BatchStats]
    momenta: Callable[[tuple[int, int, int]], BatchStats] | None = None


class Network:
    """The spec of a network: a frozen dataclass of plain numbers that can build the network.

    It prints as the code that made it, compares, hashes, and can be overridden from a typed
    command line. To train a network of your own, write such a dataclass; its `build` may use any
    library with which the four functions of `Model` can be written.

    Example:
        >>> from jaxsched.models import CifarResNet
        >>> CifarResNet(depth=8)
        CifarResNet(depth=8, width=16, norm=BatchNorm(momentum=0.9, epsilon=1e-05,
        ghost=None), zero_init_residual=False)
    """

    @property
    def batch_group(self) -> int | None:
        """The number of successive examples that training normalises together.

        None if it is the whole batch, 1 if each example is normalised alone.
        """
        return None

    def build(
        self, num_classes: int, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> Model:
        """The network for this many classes.

        Args:
            num_classes: the number of logits.
            dtype: the dtype that the layers compute in, float32 or bfloat16. Parameters, batch
                statistics, the pooled features and the logits are float32 in either case.
            axis_name: the mapped axis (of `jax.pmap` or `jax.shard_map`) over which batch norm
                averages its statistics, so that they are those of the global batch. None under
                `jax.jit`, where the batch is the global one.

        Raises:
            ValueError: when there are fewer than two classes.
        """
        raise NotImplementedError
