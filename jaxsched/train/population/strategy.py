"""Strategies by which several runs share the devices: the commands' `--at-once`."""

from typing import Any, Literal, TypeAlias

import jax

# "in_turn": one run after another. "devices": one run on each device. "vmap": several runs on one
# device, in one program.
Strategy: TypeAlias = Literal["in_turn", "devices", "vmap"]
# A number n is "devices" on the first n of them; "auto" leaves the choice to the caller.
StrategyChoice: TypeAlias = Literal["auto", "in_turn", "devices", "vmap"] | int


def first_devices(count: int) -> list[Any]:
    """The first `count` local devices, for one run each.

    Raises:
        ValueError: when this process does not have so many.
    """
    local = jax.local_devices()
    if not 1 <= count <= len(local):
        raise ValueError(
            f"at_once must be within 1 … {len(local)}, the local devices, got at_once={count}."
        )
    return local[:count]
