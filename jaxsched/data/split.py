"""The rule by which validation examples are held out."""

import math
from fractions import Fraction

import numpy as np

from jaxsched.data.fields import is_number
from jaxsched.data.images import Images


def check_share(owner: str, validation: float) -> None:
    """Raises `ValueError` unless `validation` is a share that can be held out."""
    if not is_number(validation) or not 0 <= validation < 1:
        raise ValueError(
            f"{owner} needs validation, the share of the training examples to hold out, within "
            f"[0, 1), got validation={validation!r}; 0.1 holds out a tenth."
        )


def last_of_each_class(labels: np.ndarray, share: float | Fraction) -> np.ndarray:
    """Marks the last ⌈share · n⌉ of the n examples of each class, in file order.

    The share is taken as the decimal number that it prints as: 0.07 of 100 are 7, although the
    binary 0.07 · 100 is a little more.

    Args:
        labels: int[N].
        share: the share of each class to mark, in [0, 1).

    Returns:
        bool[N].

    Example:
        >>> import numpy as np
        >>> from jaxsched.data.split import last_of_each_class
        >>> last_of_each_class(np.array([0, 1, 0, 0, 1]), 0.5)
        array([False, False,  True,  True,  True])
    """
    exact = Fraction(str(share))
    marked = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        marked[places[len(places) - math.ceil(exact * len(places)) :]] = True
    return marked


def evaluation_split(
    train: Images, test: Images | None, validation: float
) -> tuple[Images, Images, str]:
    """Chooses the examples to train on and to evaluate on, and names the latter.

    With `validation` = 0 these are the two splits unchanged. Otherwise the last ⌈validation · n⌉
    training examples of each class in file order are held out to evaluate on, and `test` is unused.

    Args:
        train: the source's training split.
        test: the source's test split; may be None where it is unused.
        validation: the share to hold out, in [0, 1).

    Returns:
        (train, evaluated, "test" or "validation").

    Raises:
        ValueError: when a class would keep no training example.

    Example:
        >>> import numpy as np
        >>> from jaxsched.data import Images
        >>> from jaxsched.data.split import evaluation_split
        >>> ten = Images(np.zeros((10, 8, 8, 1), np.uint8), np.arange(10, dtype=np.int32) % 2)
        >>> kept, held_out, name = evaluation_split(ten, ten, validation=0.2)
        >>> len(kept), len(held_out), name
        (8, 2, 'validation')
    """
    if validation == 0 and test is not None:
        return train, test, "test"
    held = last_of_each_class(train.labels, validation)
    emptied = np.setdiff1d(train.labels[held], train.labels[~held])
    if len(emptied):
        count = int(np.sum(train.labels == emptied[0]))
        raise ValueError(
            f"validation={validation} holds out every training example of class {emptied[0]} "
            f"(it has {count}); use a smaller share or more examples."
        )
    kept = Images(train.images[~held], train.labels[~held])
    return kept, Images(train.images[held], train.labels[held]), "validation"


def evenly_spread(count: int, share: float | Fraction) -> np.ndarray:
    """Marks ⌈share · count⌉ of the examples, at equal distances in file order.

    For targets that are no classes, whose order may mean something, as in a table sorted by one.

    Returns:
        bool[count].

    Example:
        >>> from jaxsched.data.split import evenly_spread
        >>> evenly_spread(6, 0.5)
        array([False,  True, False,  True, False,  True])
    """
    marked, exact = np.zeros(count, bool), math.ceil(Fraction(str(share)) * count)
    # The i-th of n marked ones closes the i-th of n equal parts.
    marked[[(i + 1) * count // exact - 1 for i in range(exact)]] = True
    return marked
