"""An Optax transformation as an optimizer spec, and what else stands for a spec."""

from dataclasses import dataclass, field
from typing import Any

import optax

from jaxsched.identity import BY_CONTENT, Identified, identity_digest
from jaxsched.optim.chain import Link
from jaxsched.optim.optimizers import SGD, Optimizer
from jaxsched.plan import Plan
from jaxsched.schedules import Schedule


@dataclass(frozen=True, eq=False, repr=False)
class OptaxChain(Identified, Optimizer):
    """An Optax transformation as it is: its schedules are functions of the update count.

    A transformation consists of closures, so it cannot be printed as code or be set from a command
    line. It compares, hashes and is recorded by what the closures hold: the same call in another
    process is the same optimizer. Rows know its learning rate and momentum only if
    `optax.inject_hyperparams` made it; `FromOptax` does that, and takes schedules in epochs.

    Attributes:
        chain: the transformation; what it returns is added to the weights.

    Raises:
        ValueError: when `chain` is no Optax transformation.

    Example:
        >>> import optax, jaxsched as js
        >>> js.OptaxChain(optax.lion(1e-4)) == js.OptaxChain(optax.lion(1e-4))
        True
        >>> js.OptaxChain(optax.lion(1e-4)) == js.OptaxChain(optax.lion(1e-3))
        False
    """

    chain: optax.GradientTransformation = field(metadata=BY_CONTENT)

    def __repr__(self) -> str:
        others = "".join(f", {name}={spec!r}" for name, spec in self.stateful_specs().items())
        return f"OptaxChain(<transformation {identity_digest(self.chain)}>{others})"

    def links(self, plan: Plan) -> list[Link]:
        """Returns the transformation, named `optimizer`; see `Optimizer.links`."""
        del plan  # its schedules count updates
        return [("optimizer", self.chain)]


def as_optimizer(owner: str, value: Any) -> Optimizer:
    """Returns an optimizer spec unchanged, and makes one of what clearly stands for it.

    An Optax transformation becomes an `OptaxChain`, a schedule `SGD` with that learning rate.

    Raises:
        ValueError: for anything else; says how to write it.

    Example:
        >>> import jaxsched as js, optax
        >>> from jaxsched.optim.optax_chain import as_optimizer
        >>> as_optimizer("fit", js.Constant(0.1)) == js.SGD(0.1)
        True
        >>> as_optimizer("fit", optax.lion)
        Traceback (most recent call last):
        ValueError: fit needs optimizer as a spec such as js.SGD(0.1, momentum=0.9) or an Optax
        transformation, got the function lion; call it, or write js.FromOptax(optax.lion,
        {"learning_rate": 0.1}).
    """
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, optax.GradientTransformation):
        return OptaxChain(value)
    if isinstance(value, Schedule):
        return SGD(value)
    shown, fix = " ".join(repr(value).split())[:60], "write js.SGD(0.1, momentum=0.9)"
    if isinstance(value, type):
        shown, fix = f"the class {value.__name__}", f"write js.{value.__name__}(…)"
    elif callable(value) and hasattr(value, "__name__"):
        shown = f"the function {value.__name__}"
        fix = f'call it, or write js.FromOptax(optax.{value.__name__}, {{"learning_rate": 0.1}})'
    elif isinstance(value, int | float):
        fix = f"write js.SGD({value}, momentum=0.9), or js.Adam({value})"
    raise ValueError(
        f"{owner} needs optimizer as a spec such as js.SGD(0.1, momentum=0.9) or an Optax "
        f"transformation, got {shown}; {fix}."
    )
