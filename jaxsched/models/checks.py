"""Checks of the numbers in a network's spec, made when the spec is made."""


def blocks_per_stage(network: str, depth: int, *, extra: int, convolutions: int = 2) -> int:
    """The number n of blocks in each of three stages, from a depth of 6n + extra layers.

    With three convolutions in a block it is 9n + extra.

    Args:
        network: the spec's name, for the message.
        depth: the number of layers with weights on the main path.
        extra: the number of these layers that are in no block.
        convolutions: the number of layers in a block.

    Raises:
        ValueError: when no n ≥ 1 gives that depth; names the nearest depths.

    Example:
        >>> blocks_per_stage("CifarResNet", 20, extra=2)
        3
    """
    stage = 3 * convolutions
    blocks, rest = divmod(depth - extra, stage)
    if blocks >= 1 and rest == 0:
        return blocks
    below = stage * blocks + extra
    nearest = f"{below} or {below + stage}" if blocks >= 1 else f"{stage + extra}"
    raise ValueError(
        f"{network} needs a depth of {stage}n + {extra} with n ≥ 1, got depth={depth}; the nearest "
        f"is {nearest}."
    )


def require_positive(network: str, **counts: int) -> None:
    """Raises `ValueError` unless every count is at least one.

    Example:
        >>> require_positive("ResNet", width=0)
        Traceback (most recent call last):
        ValueError: ResNet needs a width of at least 1, got width=0.
    """
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{network} needs a {name} of at least 1, got {name}={count}.")


def require_stages(network: str, stages: tuple[int, ...]) -> None:
    """Raises `ValueError` unless there is a stage and each stage has a block.

    Example:
        >>> require_stages("ResNet", (2, 0))
        Traceback (most recent call last):
        ValueError: ResNet needs stages of at least one block each, got stages=(2, 0).
    """
    if not stages or min(stages) < 1:
        raise ValueError(f"{network} needs stages of at least one block each, got {stages=}.")


def divisors(number: int) -> list[int]:
    """The divisors of a number, ascending, for messages.

    Example:
        >>> divisors(6)
        [1, 2, 3, 6]
    """
    return [size for size in range(1, number + 1) if number % size == 0]
