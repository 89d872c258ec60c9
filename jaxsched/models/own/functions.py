"""A module of the user's own as pure functions, and the base class of the specs that hold one."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.identity import Identified
from jaxsched.models.model import BatchStats, Model, Network, Variables

# The arrays that a module is called with, each [B, …].
Inputs: TypeAlias = tuple[jax.Array, ...]


class ModuleFunctions(NamedTuple):
    """A module as four pure functions of a batch, which may have any inputs and outputs.

    Attributes:
        init: `(key, inputs) -> variables`; of the inputs only shapes and dtypes are used.
        train: `(variables, inputs, key) -> (outputs, batch_stats)`. Normalises by this batch and
            returns the new running statistics; the key is that of the whole batch's dropout.
        evaluate: `(variables, inputs) -> outputs`. Normalises by the running statistics, without
            dropout.
        batch_moments: `(variables, inputs) -> batch_stats`. Normalises by this batch, without
            dropout, and returns the batch's own means and variances.
        momenta: `inputs -> momenta`, see `Model.momenta`; of the inputs only shapes and dtypes are
            used. What is no statistic of Flax's batch norm has 0, and steps as the module says.
    """

    init: Callable[[jax.Array, Inputs], Variables]
    train: Callable[[Variables, Inputs, jax.Array], tuple[Any, BatchStats]]
    evaluate: Callable[[Variables, Inputs], Any]
    batch_moments: Callable[[Variables, Inputs], BatchStats]
    momenta: Callable[[Inputs], BatchStats]


class OwnModule(Identified, Network):
    """Base class of specs that hold a module of the user's own.

    It compares and hashes by what the module consists of. As the network of an image classifier it
    takes images f32[B, H, W, C] and returns logits f32[B, classes].
    """

    def functions(self, axis_name: str | None = None) -> ModuleFunctions:
        """Returns the module as pure functions.

        Args:
            axis_name: the mapped axis over which batch norm averages its statistics; None under
                `jax.jit`, where the batch is the global one.
        """
        raise NotImplementedError

    def build(
        self, num_classes: int, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> Model:
        """See `Network.build`; raises a ValueError for a dtype, which is the module's own affair.

        The number of classes has to be that of the module's logits; `Model.init` compares the two.
        """
        require_float32(self, dtype)
        module = self.functions(axis_name)

        def init(key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
            images = jax.ShapeDtypeStruct((7, *image_shape), jnp.float32)
            logits = module_outputs(self, (images,))
            if getattr(logits, "shape", None) != (7, num_classes):
                raise ValueError(
                    f"{self} needs to return logits [B, {num_classes}], one a class, got "
                    f"{described(logits)}; correct its last layer."
                )
            return module.init(key, (jnp.zeros(images.shape),))

        return Model(
            init=init,
            train_logits=lambda variables, images, keys: module.train(
                variables, (images,), keys[0]
            ),
            eval_logits=lambda variables, images: module.evaluate(variables, (images,)),
            batch_moments=lambda variables, images: module.batch_moments(variables, (images,)),
            momenta=lambda image_shape: module.momenta((jnp.zeros((1, *image_shape)),)),
        )


def momenta_by_path(stats: BatchStats, momenta: Mapping[tuple[str, ...], float]) -> BatchStats:
    """Returns the momentum of each statistic, of those of the norms at the paths of `momenta`.

    Example:
        >>> momenta_by_path({"norm": {"mean": 0, "var": 1}, "own": {"x": 0}}, {("norm",): 0.9})
        {'norm': {'mean': 0.9, 'var': 0.9}, 'own': {'x': 0.0}}
    """
    return jax.tree.map_with_path(
        lambda path, _: momenta.get(tuple(entry.key for entry in path[:-1]), 0.0), stats
    )


def require_float32(network: Network, dtype: DTypeLike) -> None:
    """Raises a ValueError for another dtype than float32, which a module sets by itself."""
    if jnp.dtype(dtype) != jnp.float32:
        raise ValueError(
            f"{type(network).__name__} needs precision='float32', got {jnp.dtype(dtype).name!r}; a "
            "module of your own computes in the dtype that its layers are given."
        )


class UnfitModuleError(ValueError):
    """A module cannot be trained as it is; the message says why and what to do."""


def module_outputs(model: OwnModule, inputs: tuple[jax.ShapeDtypeStruct, ...]) -> Any:
    """Returns the shapes of a module's outputs, once all its functions have been tried on shapes.

    Raises:
        ValueError: when one of them fails; has the module's own error.
    """
    functions, key = model.functions(), jax.random.key(0)
    try:
        variables = jax.eval_shape(functions.init, key, inputs)
        jax.eval_shape(functions.train, variables, inputs, key)
        return jax.eval_shape(functions.evaluate, variables, inputs)
    except UnfitModuleError:
        raise
    except Exception as error:  # of Flax or of the user's own code
        reason = " ".join(str(error).partition(" (https://")[0].split()).rstrip(".")
        raise ValueError(
            f"{model} fails on inputs {', '.join(map(described, inputs))}: "
            f"{type(error).__name__}: {reason}."
        ) from error


def described(outputs: Any) -> str:
    """Returns the shapes of what a module returns, as text; the first axis is called B.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxsched.models.own.functions import described
        >>> described(jnp.zeros((2, 10)))
        'float32[B, 10]'
    """
    if hasattr(outputs, "shape") and hasattr(outputs, "dtype"):
        sides = ["B", *map(str, outputs.shape[1:])] if outputs.shape else []
        return f"{outputs.dtype}[{', '.join(sides)}]"
    if isinstance(outputs, tuple | list):
        return f"{type(outputs).__name__} of {', '.join(map(described, outputs))}"
    return type(outputs).__name__
