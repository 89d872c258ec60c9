"""A module of Flax NNX as a network."""

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from jaxsched.identity import BY_CONTENT
from jaxsched.models.model import BatchStats, Variables
from jaxsched.models.own.calls import call_mode, require_inputs
from jaxsched.models.own.functions import (
    Inputs,
    ModuleFunctions,
    OwnModule,
    UnfitModuleError,
    momenta_by_path,
)


@dataclass(frozen=True, eq=False)
class NnxModule(OwnModule):
    """A Flax NNX module of one's own, or a function that makes one.

    A module starts with the weights that it has, whatever the seed; it is not changed. A function
    `rngs -> module` draws weights for each seed. `module.train()` and `module.eval()` tell the
    layers whether they train, and an argument of `__call__` does if it is called `train`,
    `training`, `is_training`, `deterministic` or `use_running_average`. Each call draws its random
    numbers from new keys; `nnx.Param` is trained, what other variables hold is carried along, and a
    `nnx.BatchNorm` is over the global batch.

    Attributes:
        module: the module, or a function of `nnx.Rngs` that makes it.

    Raises:
        ValueError: when `module` is neither; in `init`, when it cannot be made or called.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxsched.models import NnxModule
        >>> functions = NnxModule(lambda rngs: nnx.Linear(3, 8, rngs=rngs)).functions()
        >>> variables = functions.init(jax.random.key(0), (jnp.ones((1, 3)),))
        >>> functions.evaluate(variables, (jnp.ones((2, 3)),)).shape
        (2, 8)
    """

    module: nnx.Module | Callable[[nnx.Rngs], nnx.Module] = field(metadata=BY_CONTENT)

    def __post_init__(self):
        if not isinstance(self.module, nnx.Module) and not callable(self.module):
            raise ValueError(
                "NnxModule needs an instance of flax.nnx.Module, or a function that makes one of "
                f"nnx.Rngs, got {self.module!r}."
            )

    def __str__(self) -> str:
        return type(self._module).__name__

    @property
    def batch_group(self) -> int | None:
        """See `Network.batch_group`: the whole batch for a module with batch norm, else 1."""
        return None if self._carried else 1

    @functools.cached_property
    def _module(self) -> nnx.Module:
        """A copy of the module; of one that a function makes the shapes alone."""
        if isinstance(self.module, nnx.Module):
            return nnx.clone(self.module)
        try:
            made: Any = nnx.eval_shape(lambda: self._made(nnx.Rngs(0)))
        except UnfitModuleError:
            raise
        except Exception as error:  # of the user's own code
            reason = str(error).partition("\n")[0].rstrip(".")
            raise UnfitModuleError(
                f"{_name(self.module)} fails to make a module: {type(error).__name__}: {reason}."
            ) from error
        return made

    def _made(self, rngs: nnx.Rngs) -> nnx.Module:
        make: Any = self.module
        made = make(rngs)
        if not isinstance(made, nnx.Module):
            raise UnfitModuleError(
                f"NnxModule needs a function that makes a flax.nnx.Module, got {_name(make)}, "
                f"which made an instance of {type(made).__name__}."
            )
        return made

    @functools.cached_property
    def _carried(self) -> dict[str, Any]:
        return _as_dict(nnx.split(self._module, nnx.Param, nnx.RngState, ...)[3])

    def with_variables(self, variables: Variables) -> nnx.Module:
        """Returns a module with these variables, which evaluates."""
        merged = self._merged(variables, jax.random.key(0))
        merged.eval()
        return merged

    def _merged(self, variables: Variables, key: jax.Array) -> Any:
        """The module with these variables, and with random streams that start from the key."""
        definition, *states = nnx.split(self._module, nnx.Param, nnx.RngState, ...)
        params, streams, carried = states
        return nnx.merge(
            definition,
            _with_values(params, variables["params"]),
            _started(streams, key),
            _with_values(carried, variables["batch_stats"]),
        )

    def functions(self, axis_name: str | None = None) -> ModuleFunctions:
        """See `OwnModule.functions`."""
        template = self._module  # made here, where nothing is traced

        def call(module: Any, inputs: Inputs, *, train: bool) -> Any:
            if train and axis_name is not None:
                module.set_attributes(_is_unmapped, axis_name=axis_name, raise_if_not_found=False)
            return module(*inputs, **call_mode(module.__call__, train=train))

        def init(key: jax.Array, inputs: Inputs) -> Variables:
            require_inputs(str(self), template.__call__, len(inputs))
            module = self.module
            if not isinstance(module, nnx.Module):
                module = self._made(nnx.Rngs(key))
            _, params, _, carried = nnx.split(module, nnx.Param, nnx.RngState, ...)
            return {"params": _as_dict(params), "batch_stats": _as_dict(carried)}

        def train(variables: Variables, inputs: Inputs, key: jax.Array) -> tuple[Any, BatchStats]:
            module = self._merged(variables, key)
            module.train()
            outputs = call(module, inputs, train=True)
            stats = _as_dict(nnx.split(module, nnx.Param, nnx.RngState, ...)[3])
            return outputs, stats if axis_name is None else lax.pmean(stats, axis_name)

        def batch_moments(variables: Variables, inputs: Inputs) -> BatchStats:
            module = self._merged(variables, jax.random.key(0))
            module.train()
            for kind, attributes in _MEASURING.items():
                module.set_attributes(kind, **attributes, raise_if_not_found=False)
            call(module, inputs, train=True)
            return _as_dict(nnx.split(module, nnx.Param, nnx.RngState, ...)[3])

        def evaluate(variables: Variables, inputs: Inputs) -> Any:
            module = self._merged(variables, jax.random.key(0))
            module.eval()
            return call(module, inputs, train=False)

        def momenta(inputs: Inputs) -> BatchStats:
            del inputs
            norms = {
                tuple(map(str, path)): node.momentum
                for path, node in nnx.iter_graph(template)
                if isinstance(node, nnx.BatchNorm)
            }
            return momenta_by_path(self._carried, norms)

        return ModuleFunctions(init, train, evaluate, batch_moments, momenta)


def _is_unmapped(path: Any, node: Any) -> bool:
    """Returns whether a node is a batch norm that averages over no mapped axis of its own."""
    del path
    return isinstance(node, nnx.BatchNorm) and node.axis_name is None


# What makes running statistics those of one batch, without dropout.
_MEASURING: dict[type, dict[str, float]] = {
    nnx.BatchNorm: {"momentum": 0.0},
    nnx.Dropout: {"rate": 0.0},
}


def _name(function: Any) -> str:
    return f"the function {getattr(function, '__name__', type(function).__name__)}"


def _as_dict(state: Any) -> dict[str, Any]:
    """The arrays of a state in nested dicts; a place in a list becomes text, as in checkpoints."""
    found: dict[str, Any] = {}
    for path, variable in nnx.to_flat_state(state):
        *outer, name = map(str, path)
        inner = found
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[name] = variable.get_value()
    return found


def _with_values(state: Any, values: Mapping[str, Any]) -> Any:
    """A state of new variables with these values; those of another trace cannot be changed."""

    def value_at(path: tuple[Any, ...]) -> Any:
        return functools.reduce(lambda inner, part: inner[str(part)], path, values)

    return nnx.from_flat_state(
        [(path, variable.replace(value_at(path))) for path, variable in nnx.to_flat_state(state)]
    )


def _started(streams: Any, key: jax.Array) -> Any:
    """The state of random streams that start anew, each from a key of its own."""
    numbers, fresh = itertools.count(), []
    for path, variable in nnx.to_flat_state(streams):
        if isinstance(variable, nnx.RngKey):
            value = jax.random.fold_in(key, next(numbers))
        else:  # the count of draws
            value = jnp.zeros((), jnp.uint32)
        fresh.append((path, variable.replace(value)))
    return nnx.from_flat_state(fresh)
