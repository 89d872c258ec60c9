"""The data of a run, which are a part of its identity beside its experiment and its seed."""

from collections.abc import Mapping
from typing import Any

from jaxsched.data import Dataset
from jaxsched.experiment.diff import differences

# The key of the fingerprint in records, checkpoints and curves; those of old versions lack it.
DATA_KEY = "data"


def data_changes(made: Mapping[str, Any], dataset: Dataset) -> str:
    """Returns in what the data differ from those of a record or checkpoint; "" if in nothing.

    Args:
        made: its header or its JSON. One from before fingerprints differs in nothing.
        dataset: the data of now.
    """
    before = made.get(DATA_KEY, dataset.fingerprint)
    return "; ".join(differences(before, dataset.fingerprint))


def require_same_data(what: object, made: Mapping[str, Any], dataset: Dataset) -> None:
    """Refuses to go on from, or to count, what was made with other data.

    Args:
        what: the record or checkpoint, for the message.
        made: its header or its JSON. One from before fingerprints is let through.
        dataset: the data of now.

    Raises:
        ValueError: when the data have changed; names what differs.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.train.same_data import require_same_data
        >>> before, now = (Synthetic(num_train=n).load() for n in (80, 79))
        >>> try:
        ...     require_same_data("run.jsonl", {"data": before.fingerprint}, now)
        ... except ValueError as error:
        ...     print(str(error).partition(";")[0])
        run.jsonl was made with other data: train.examples: 80 -> 79
    """
    if changes := data_changes(made, dataset):
        raise ValueError(
            f"{what} was made with other data: {changes}. Put the data back as they were, or use "
            "another folder to start anew."
        )
