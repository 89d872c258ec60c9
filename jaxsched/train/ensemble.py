"""Several networks as one: Multi-SWA and Multi-SWAG."""

from collections.abc import Iterable

import numpy as np

from jaxsched.models import Variables
from jaxsched.train.program import Program


def evaluate_ensemble(program: Program, members: Iterable[Variables]) -> tuple[float, float]:
    """Test loss and test accuracy of the mean of the members' probabilities.

    Multi-SWA is the ensemble of several runs' averages, Multi-SWAG that of several draws from each
    run's Gaussian (`jaxsched.sample_swag`). Each member needs batch-norm statistics of its own, see
    `Program.reestimate`.

    Formula:
        p = Σ p_k / K,   loss = −mean(log p[label]),   accuracy = share of argmax p = label

    Args:
        program: of the members' experiment.
        members: parameters with statistics; looked at one after another, so that a generator holds
            one of them at a time.

    Raises:
        ValueError: when there is no member.

    Source:
        Wilson and Izmailov, "Bayesian deep learning and a probabilistic perspective of
        generalization" (arXiv 2002.08791), section 3.
    """
    total, count = None, 0
    for member in members:
        probabilities = np.asarray(program.probabilities(member), np.float64)
        total = probabilities if total is None else total + probabilities
        count += 1
    if total is None:
        raise ValueError("evaluate_ensemble needs at least one member, got none.")
    mean, labels = total / count, program.dataset.test.labels
    of_label = mean[np.arange(len(labels)), labels]
    # A probability that float32 rounded to 0 must not make the loss infinite.
    loss = -np.log(np.maximum(of_label, np.finfo(np.float32).tiny)).mean()
    return float(loss), float((mean.argmax(axis=1) == labels).mean())
