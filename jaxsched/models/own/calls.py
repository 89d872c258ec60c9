"""How a module of the user's own is called: its inputs, and the argument that tells its mode."""

import inspect
from collections.abc import Callable
from typing import Any

from jaxsched.models.own.functions import UnfitModuleError

# The names under which Flax's users say whether a module trains.
_TRAINING = ("train", "training", "is_training")
_EVALUATING = ("deterministic", "use_running_average")
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def mode(names: Any, *, train: bool) -> dict[str, bool]:
    """Returns the values of those names that say whether a module trains.

    Example:
        >>> from jaxsched.models.own.calls import mode
        >>> mode(["x", "train"], train=True), mode(["x", "deterministic"], train=True)
        ({'train': True}, {'deterministic': False})
    """
    values = {**dict.fromkeys(_TRAINING, train), **dict.fromkeys(_EVALUATING, not train)}
    return {name: value for name, value in values.items() if name in names}


def call_mode(call: Callable[..., Any], *, train: bool) -> dict[str, bool]:
    """Returns the arguments of a module's `__call__` that say whether it trains."""
    parameters = inspect.signature(call).parameters.values()
    return mode([p.name for p in parameters if p.kind in _NAMED], train=train)


def require_inputs(name: str, call: Callable[..., Any], count: int) -> None:
    """Refuses a module whose `__call__` does not take so many inputs and the mode alone.

    Args:
        name: the module's class, for the message.
        call: its `__call__`, bound.
        count: the number of inputs that the data have.

    Raises:
        UnfitModuleError: names the arguments that it takes, and what to do.

    Example:
        >>> from jaxsched.models.own.calls import require_inputs
        >>> try:
        ...     require_inputs("Net", lambda x, mask: x, 1)
        ... except ValueError as error:
        ...     print(error)
        Net(x, mask) needs 2 inputs, the data have 1; give Net defaults for the others, or data with
        as many arrays before the targets: (x, mask, targets).
    """
    parameters = inspect.signature(call).parameters
    modes = mode(parameters, train=True)
    inputs = [p for p in parameters.values() if p.name not in modes and p.kind not in _VARIABLE]
    positional = [p.name for p in inputs if p.kind in _POSITIONAL]
    needed = [p.name for p in inputs if p.default is p.empty]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    is_too_many = count > len(positional) and not any_number
    if not is_too_many and set(needed) <= set(positional[:count]):
        return
    shown, taken = f"{name}({', '.join(parameters)})", positional if is_too_many else needed
    others = "" if is_too_many else f"give {name} defaults for the others, or "
    raise UnfitModuleError(
        f"{shown} needs {len(taken)} input{'s' * (len(taken) != 1)}, the data have {count}; "
        f"{others or 'give '}data with as many arrays before the targets: "
        f"({', '.join([*taken, 'targets'])})."
    )


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
