"""The loggers that the commands know by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxsched.tracking.loggers.tensorboard import TensorBoard
from jaxsched.tracking.loggers.weights_and_biases import WeightsAndBiases

LOGGERS: Mapping[str, type[TensorBoard | WeightsAndBiases]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


def loggers_in(folder: Path, names: Sequence[str]) -> list[TensorBoard | WeightsAndBiases]:
    """Returns the loggers of these names for the run of a folder.

    Raises:
        ImportError: when the package of one is missing; names the extra that brings it.
    """
    return [LOGGERS[name](folder) for name in dict.fromkeys(names)]
