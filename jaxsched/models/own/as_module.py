"""Makes a network of what the user gives as one."""

from typing import Any

import flax.linen as nn
from flax import nnx

from jaxsched.models.own.functions import OwnModule
from jaxsched.models.own.linen_module import LinenModule
from jaxsched.models.own.nnx_module import NnxModule


def as_module(value: Any) -> OwnModule:
    """Returns a module of Flax, or a function that makes one of NNX, as a network.

    Raises:
        ValueError: for anything else; a class says how to make an instance of it.

    Example:
        >>> import flax.linen as nn
        >>> from jaxsched.models.own.as_module import as_module
        >>> type(as_module(nn.Dense(3))).__name__
        'LinenModule'
        >>> as_module(nn.Dense)
        Traceback (most recent call last):
        ValueError: expected a module, got the class Dense; write Dense(…), with its arguments.
    """
    if isinstance(value, OwnModule):
        return value
    if isinstance(value, nn.Module):
        return LinenModule(value)
    if isinstance(value, type):
        fix = f"write {value.__name__}(…), with its arguments"
        if issubclass(value, nnx.Module):
            fix += f", or lambda rngs: {value.__name__}(…, rngs=rngs) for new weights by the seed"
        raise ValueError(f"expected a module, got the class {value.__name__}; {fix}.")
    if isinstance(value, nnx.Module) or callable(value):
        module: Any = value
        return NnxModule(module)
    shown = " ".join(repr(value).split())[:60]
    raise ValueError(
        "expected a module of Flax Linen or NNX, or a function of nnx.Rngs that makes one, got "
        f"{shown}; write the module itself."
    )
