"""Facts of one compiled program, gathered from its text."""

from collections import Counter
from dataclasses import dataclass

from jaxsched.ahead_of_time.hlo.collectives import Collective, collectives
from jaxsched.ahead_of_time.hlo.donation import Parameter, parameters
from jaxsched.ahead_of_time.hlo.flops import Product, products, uncounted_calls
from jaxsched.ahead_of_time.hlo.gathers import Gather, gathers
from jaxsched.ahead_of_time.hlo.loops import Loop
from jaxsched.ahead_of_time.hlo.padding import PaddedTensor, padded_tensors
from jaxsched.ahead_of_time.hlo.parse import parse_program
from jaxsched.ahead_of_time.hlo.precision import full_precision_products
from jaxsched.ahead_of_time.hlo.traffic import traffic
from jaxsched.ahead_of_time.hlo.walk import walk


@dataclass(frozen=True)
class ProgramFacts:
    """Facts of one compiled program, for one chip and one run of it.

    Loops are multiplied out. A loop whose length is not known when it is compiled counts as one
    trip; `unknown_loops` names those.

    Attributes:
        loops: all loops, each with the number of its trips.
        products: the convolutions and matrix products.
        collectives: the exchanges between chips.
        gathers: the gathers.
        padded: the arrays of 1 MiB or more that take more than 4 times their values, largest first.
        parameters: the arrays of the arguments, and whether their memory is used again.
        uncounted_calls: the targets of custom calls, whose operations are in no sum here.
        traffic: the bytes that it moves from and to main memory, see `traffic`.
    """

    loops: tuple[Loop, ...]
    products: tuple[Product, ...]
    collectives: tuple[Collective, ...]
    gathers: tuple[Gather, ...]
    padded: tuple[PaddedTensor, ...]
    parameters: tuple[Parameter, ...]
    uncounted_calls: tuple[str, ...]
    traffic: int

    @property
    def flops(self) -> int:
        """The floating-point operations of all convolutions and matrix products."""
        return sum(product.total_flops for product in self.products)

    @property
    def flops_by_dtype(self) -> dict[str, int]:
        """The floating-point operations by the dtype that is multiplied."""
        sums = Counter()
        for product in self.products:
            sums[product.dtype] += product.total_flops
        return dict(sums)

    @property
    def unknown_loops(self) -> tuple[Loop, ...]:
        """The loops whose number of trips depends on the data, counted as one trip each."""
        return tuple(loop for loop in self.loops if loop.trips is None)

    @property
    def byte_gathers(self) -> tuple[Gather, ...]:
        """The gathers of values of eight bits."""
        return tuple(gather for gather in self.gathers if gather.is_of_bytes)

    @property
    def full_precision_products(self) -> tuple[Product, ...]:
        """The products in float32, if others are in half precision."""
        return full_precision_products(self.products)

    @property
    def undonated(self) -> tuple[Parameter, ...]:
        """The arguments whose memory could hold a result of their kind, but does not."""
        return tuple(parameter for parameter in self.parameters if parameter.could_be)


def read_program(text: str) -> ProgramFacts:
    """Returns the facts of a compiled program.

    Args:
        text: its optimised HLO, for a CPU, GPU or TPU, as `compiled.as_text()` gives it.

    Raises:
        ValueError: if the text is no HLO module, or is cut off.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxsched.ahead_of_time.hlo.facts import read_program
        >>> def power(x):
        ...     return jax.lax.fori_loop(0, 5, lambda _, y: y @ x, x)
        >>> compiled = jax.jit(power).lower(jnp.ones((8, 8))).compile()
        >>> facts = read_program(compiled.as_text())
        >>> facts.flops == 5 * 2 * 8 * 8 * 8, [loop.trips for loop in facts.loops]
        (True, [5])
    """
    program = parse_program(text)
    sites = list(walk(program))
    return ProgramFacts(
        loops=tuple(site.loop for site in sites if site.loop),
        products=products(sites),
        collectives=collectives(sites),
        gathers=gathers(sites),
        padded=padded_tensors(sites),
        parameters=parameters(program),
        uncounted_calls=uncounted_calls(sites),
        traffic=traffic(program, sites),
    )
