"""Tells overfitting and underfitting from the losses of a short run."""

from collections.abc import Mapping, Sequence
from typing import Any

# A smaller relative change of a loss counts as no change.
_SHARE = 0.02


def fit_diagnosis(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns a sentence that tells whether a run overfits or underfits, with the numbers.

    Formula, with the validation loss v at the evaluations and its lowest value b:
        overfitting    the last v is more than 2 % above b, and the training loss still falls
        underfitting   v falls by more than 2 % in the last quarter of the evaluations
        balanced       neither

    Args:
        rows: the evaluations of a record, in order; at least one.

    Raises:
        ValueError: when there is no evaluation.

    Source:
        L. N. Smith, "A disciplined approach to neural network hyper-parameters" (arXiv 1803.09820),
        section 3.

    Example:
        >>> from jaxsched.tune.recipe.overfitting import fit_diagnosis
        >>> rows = [
        ...     {"epoch": n, "train_loss": 1 / n, "test_loss": loss}
        ...     for n, loss in enumerate((1.0, 0.8, 0.9, 1.0), start=1)
        ... ]
        >>> print(fit_diagnosis(rows))
        Overfitting: the validation loss was lowest at epoch 2 (0.800) and rose to 1.000 while the
        training loss fell. More regularisation or a larger learning rate may help.
    """
    if not rows:
        raise ValueError("fit_diagnosis needs at least one evaluation, got none.")
    best, last = min(rows, key=lambda row: row["test_loss"]), rows[-1]
    lowest, final = best["test_loss"], last["test_loss"]
    if final > (1 + _SHARE) * lowest and last["train_loss"] < best["train_loss"]:
        return (
            f"Overfitting: the validation loss was lowest at epoch {best['epoch']:.3g} "
            f"({lowest:.3f}) and rose to {final:.3f} while the training loss fell. More "
            "regularisation or a larger learning rate may help."
        )
    earlier = rows[-1 - max(1, len(rows) // 4)] if len(rows) > 1 else last
    if final < (1 - _SHARE) * earlier["test_loss"]:
        return (
            "Underfitting so far: the validation loss still fell, from "
            f"{earlier['test_loss']:.3f} at epoch {earlier['epoch']:.3g} to {final:.3f} at epoch "
            f"{last['epoch']:.3g}. There is room for more epochs, or for less regularisation."
        )
    return (
        f"Balanced: the validation loss ended at {final:.3f}, within 2 % of where it had settled."
    )
