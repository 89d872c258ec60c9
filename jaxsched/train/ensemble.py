"""Ensembles: Multi-SWA and Multi-SWAG."""

from collections.abc import Iterable

import numpy as np

from jaxsched.models import Variables
from jaxsched.train.program.program import Program


def evaluate_ensemble(program: Program, members: Iterable[Variables]) -> tuple[float, float]:
    """Returns the test loss and test accuracy of the mean of the members' probabilities.

    Multi-SWA is the ensemble of several runs' averages. Multi-SWAG is the ensemble of several draws
    from each run's Gaussian (`jaxsched.sample_swag`). Each member needs batch-norm statistics of
    its own, see `Program.recompute_batch_stats`.

    Formula:
        p = Σ p_k / K,   loss = −mean(log p[label]),   accuracy = share of argmax p = label

    Args:
        program: the compiled experiment of the members.
        members: parameters with batch-norm statistics. They are evaluated one after another, so a
            generator needs to hold only one of them at a time.

    Raises:
        ValueError: when there is no member.

    Source:
        Wilson and Izmailov, "Bayesian deep learning and a probabilistic perspective of
        generalization" (arXiv 2002.08791), section 3.
    """
    total, count, labels = 0.0, 0, None
    for member in members:
        prediction = program.predict(member)
        total, labels = total + np.float64(prediction.outputs), prediction.targets
        count += 1
    if labels is None:
        raise ValueError("evaluate_ensemble needs at least one member, got none.")
    mean = np.asarray(total / count)
    of_label = mean[np.arange(len(labels)), labels]
    # A probability that float32 rounded to 0 must not make the loss infinite.
    loss = -np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean()
    return float(loss), float((mean.argmax(axis=1) == labels).mean())
