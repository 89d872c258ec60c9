"""A module of Flax Linen as a network."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxsched.identity import BY_CONTENT
from jaxsched.models.model import BatchStats, Variables
from jaxsched.models.own.calls import call_mode, mode, require_inputs
from jaxsched.models.own.functions import (
    Inputs,
    ModuleFunctions,
    OwnModule,
    UnfitModuleError,
    momenta_by_path,
)


@dataclass(frozen=True, eq=False)
class LinenModule(OwnModule):
    """A Flax Linen module of one's own.

    It is called with the inputs. An argument of its `__call__`, or a field, named `train`,
    `training`, `is_training`, `deterministic` or `use_running_average` tells it whether it trains;
    a `nn.BatchNorm` or `nn.Dropout` that the module itself does not tell, as in a `nn.Sequential`,
    is told too. Random numbers come from the streams "dropout" and "params", running statistics lie
    in the collection "batch_stats", and a `nn.BatchNorm` is over the global batch.

    Attributes:
        module: the module, not bound to variables.
        batch_group: how many successive examples the module normalises together; None for the whole
            batch, and 1 for a module without batch norm, whose batches can be cut into
            micro-batches.

    Raises:
        ValueError: when `module` is no instance of `flax.linen.Module`; in `init`, when it cannot
            be called with the inputs, or keeps state in another collection.

    Example:
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> from jaxsched.models import LinenModule
        >>> network = LinenModule(nn.Sequential([nn.Dense(8), nn.relu, nn.Dropout(0.5)]))
        >>> functions = network.functions()
        >>> variables = functions.init(jax.random.key(0), (jnp.ones((1, 3)),))
        >>> functions.evaluate(variables, (jnp.ones((2, 3)),)).shape
        (2, 8)
    """

    module: nn.Module = field(metadata=BY_CONTENT)
    batch_group: int | None = field(default=None, metadata={"described": "unless default"})

    def __post_init__(self):
        if not isinstance(self.module, nn.Module):
            raise ValueError(
                f"LinenModule needs an instance of flax.linen.Module, got {self.module!r}."
            )

    def __str__(self) -> str:
        return type(self.module).__name__

    def functions(self, axis_name: str | None = None) -> ModuleFunctions:
        """See `OwnModule.functions`."""

        def apply(
            variables: Variables, inputs: Inputs, layers: _Layers, key: jax.Array | None = None
        ) -> tuple[Any, BatchStats]:
            module: Any = _in_mode(self.module, train=layers.train)
            streams = {} if key is None else {"dropout": key, "params": jax.random.fold_in(key, 1)}
            with nn.intercept_methods(layers.call):
                outputs, updated = module.apply(
                    variables,
                    *inputs,
                    **call_mode(module.__call__, train=layers.train),
                    rngs=streams,
                    mutable=["batch_stats"] if layers.train else [],
                )
            return outputs, _unboxed(updated, "batch_stats")

        def init(key: jax.Array, inputs: Inputs) -> Variables:
            require_inputs(str(self), self.module.__call__, len(inputs))
            module: Any = _in_mode(self.module, train=False)
            like = [jnp.zeros(array.shape, array.dtype) for array in inputs]
            streams = {"params": key, "dropout": jax.random.fold_in(key, 1)}
            with nn.intercept_methods(_Layers(train=False).call):
                found = module.init(streams, *like, **call_mode(module.__call__, train=False))
            self._require_known(found)
            return {name: _unboxed(found, name) for name in ("params", "batch_stats")}

        def train(variables: Variables, inputs: Inputs, key: jax.Array) -> tuple[Any, BatchStats]:
            layers = _Layers(train=True, axis_name=axis_name)
            outputs, stats = apply(variables, inputs, layers, key)
            # Those of norms of the user's own, which know no axis, differ between the replicas.
            return outputs, stats if axis_name is None else lax.pmean(stats, axis_name)

        def batch_moments(variables: Variables, inputs: Inputs) -> BatchStats:
            layers = _Layers(train=True, axis_name=axis_name, measures=True)
            return apply(variables, inputs, layers, jax.random.key(0))[1]

        def evaluate(variables: Variables, inputs: Inputs) -> Any:
            return apply(variables, inputs, _Layers(train=False))[0]

        def momenta(inputs: Inputs) -> BatchStats:
            key, seen = jax.random.key(0), {}
            variables = jax.eval_shape(init, key, inputs)
            layers = _Layers(train=True, seen=seen)
            jax.eval_shape(lambda v, x: apply(v, x, layers, key), variables, inputs)
            return momenta_by_path(variables["batch_stats"], seen)

        return ModuleFunctions(init, train, evaluate, batch_moments, momenta)

    def _require_known(self, found: Mapping[str, Any]) -> None:
        """Raises an UnfitModuleError for collections that a run would not carry."""
        others = sorted(set(found) - {"params", "batch_stats"})
        if others:
            raise UnfitModuleError(
                f"{self} needs its state in the collections 'params' and 'batch_stats', which a "
                f"run carries, got {', '.join(map(repr, others))} too; keep it in 'batch_stats'."
            )


@dataclass(frozen=True)
class _Layers:
    """The arguments that the layers of a module are given in one call of it.

    Attributes:
        train: whether the module trains.
        axis_name: the mapped axis that batch norm averages over.
        measures: whether running statistics become those of this batch, and nothing is dropped.
        seen: where to note the momentum of each batch norm by its path; None for nowhere.
    """

    train: bool
    axis_name: str | None = None
    measures: bool = False
    seen: dict[tuple[str, ...], float] | None = None

    def call(self, call: Callable[..., Any], args: tuple, kwargs: dict, context: Any) -> Any:
        """Calls a layer's method; an interceptor for `nn.intercept_methods`."""
        layer: Any = context.module
        if context.method_name == "__call__" and isinstance(layer, nn.Dropout):
            if self.measures:
                return args[0] if args else kwargs["inputs"]
            kwargs = _told(layer, "deterministic", not self.train, args, kwargs)
        if context.method_name == "__call__" and isinstance(layer, nn.BatchNorm):
            kwargs = _told(layer, "use_running_average", not self.train, args, kwargs)
            # The layer is this call's own copy; frozen, it would refuse a plain assignment.
            if self.seen is not None:
                self.seen[layer.path] = layer.momentum
            if layer.axis_name is None:
                object.__setattr__(layer, "axis_name", self.axis_name)
            if self.measures:
                object.__setattr__(layer, "momentum", 0.0)
        return call(*args, **kwargs)


def _told(layer: Any, name: str, value: bool, args: tuple, kwargs: dict) -> dict[str, Any]:
    """Adds the mode to a layer's arguments, unless the module has told the layer itself."""
    is_told = getattr(layer, name) is not None or kwargs.get(name) is not None or len(args) > 1
    return kwargs if is_told else {**kwargs, name: value}


def _in_mode(module: nn.Module, *, train: bool) -> nn.Module:
    """Returns the module with those of its fields set that say whether it trains."""
    told: dict[str, Any] = mode([f.name for f in dataclasses.fields(module)], train=train)
    # What `__call__` takes is said there: Flax's layers refuse to be told twice.
    said = call_mode(module.__call__, train=train)
    told = {name: value for name, value in told.items() if name not in said}
    return module.clone(**told) if told else module


def _unboxed(variables: Mapping[str, Any], collection: str) -> dict[str, Any]:
    """Returns a collection as nested dicts of arrays; {} if there is none."""
    return nn.unbox(dict(variables.get(collection, {})))
