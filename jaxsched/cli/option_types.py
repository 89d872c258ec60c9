"""Types and checks of options that several commands have."""

from typing import Annotated, Literal, TypeAlias

import tyro

# The choices of `jaxsched.train.population.strategy.StrategyChoice`, which would import JAX.
Choice: TypeAlias = Literal["auto", "in_turn", "devices", "vmap"] | int

# The option of the commands that make short runs; `bench` describes it in its own words.
AtOnce: TypeAlias = Annotated[
    Choice,
    tyro.conf.arg(
        help='How the runs share the devices: "in_turn", one after another; "devices", one on each '
        'device; "vmap", several on one device; a number, so many at a time, one on each device; '
        '"auto", whichever of these a short trial finds fastest.'
    ),
]

# The keys of `jaxsched.tracking.LOGGERS`, which would import NumPy.
LogNames: TypeAlias = tyro.conf.UseAppendAction[tuple[Literal["tensorboard", "wandb"], ...]]


def require_minutes(minutes: float) -> None:
    """Raises a ValueError unless a run can be saved that often."""
    if not minutes >= 0:
        raise ValueError(
            f"--checkpoint-minutes needs a time of at least 0 minutes, got {minutes:g}; 0 saves "
            "the run as often as it can."
        )
