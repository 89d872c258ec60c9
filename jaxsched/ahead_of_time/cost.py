"""The cost of a program on a chip: the least time of its arithmetic and of its memory traffic."""

from dataclasses import dataclass

from jaxsched.ahead_of_time.chips import Chip
from jaxsched.ahead_of_time.hlo.facts import ProgramFacts


@dataclass(frozen=True)
class Cost:
    """The least time that a chip needs for a program.

    Formula:
        arithmetic = Σ FLOP of a dtype / peak of the dtype
        MFU ≤ arithmetic / max(arithmetic, traffic)

    Attributes:
        arithmetic: seconds of all products at the chip's peak.
        traffic: seconds of all memory traffic at the chip's bandwidth.
    """

    arithmetic: float
    traffic: float

    @property
    def utilisation(self) -> float:
        """The largest model FLOP utilisation (MFU) that the memory allows."""
        longer = max(self.arithmetic, self.traffic)
        return self.arithmetic / longer if longer else 0.0


def cost_on(chip: Chip, facts: ProgramFacts, *, exact: bool) -> Cost:
    """Returns the cost of a program.

    Args:
        chip: the chip.
        facts: of the program.
        exact: whether products of float32 numbers are exact, as with `precision="float32"`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.ahead_of_time.chips import TPUS
        >>> from jaxsched.ahead_of_time.cost import cost_on
        >>> from jaxsched.ahead_of_time.hlo.facts import read_program
        >>> x, y = jnp.ones((256, 256)), jnp.ones((256, 256))
        >>> compiled = jax.jit(jnp.dot).lower(x, y).compile()
        >>> cost = cost_on(TPUS["v5e"], read_program(compiled.as_text()), exact=True)
        >>> cost.arithmetic == 2 * 256**3 / (197e12 / 6), cost.traffic == 3 * 4 * 256**2 / 819e9
        (True, True)
    """
    arithmetic = sum(
        flops / chip.peak(dtype, exact=exact) for dtype, flops in facts.flops_by_dtype.items()
    )
    return Cost(arithmetic, facts.traffic / chip.bandwidth)
