"""How a module of the user's own is called: its inputs, and the argument that tells its mode."""

import inspect
from collections.abc import Callable
from typing import Any

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
        ValueError: names the arguments that it takes, and what to do.

    Example:
        >>> from jaxsched.models.own.calls import require_inputs
        >>> require_inputs("Net", lambda x, mask: x, 1)
        Traceback (most recent call last):
        ValueError: Net needs a call with 1 input, the number that the data have, and an argument
        such as train, got Net(x, mask): nothing gives mask; give it a default, or give data with as
        many arrays before the targets: (x, mask, targets).
    """
    parameters = inspect.signature(call).parameters
    modes = mode(parameters, train=True)
    inputs = [p for p in parameters.values() if p.name not in modes]
    positional = [p for p in inputs if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in inputs)
    needed = [p.name for p in inputs if p.default is p.empty and p.kind not in _VARIABLE]
    missing = [n for n in needed if n not in [p.name for p in positional[:count]]]
    if not missing and (any_number or count <= len(positional)):
        return
    reason = f"nothing gives {', '.join(missing)}" if missing else "it takes fewer"
    raise ValueError(
        f"{name} needs a call with {count} input{'s' * (count != 1)}, the number that the data "
        f"have, and an argument such as train, got {name}({', '.join(parameters)}): {reason}; give "
        "it a default, or give data with as many arrays before the targets: "
        f"({', '.join([*(needed or [p.name for p in positional]), 'targets'])})."
    )


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
