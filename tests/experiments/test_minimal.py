"""The loop to fork reaches the accuracy that its docstring states."""

import pytest


@pytest.mark.slow
def test_both_weights_reach_their_accuracy(load_experiment):
    last, averaged = load_experiment("minimal").train(seed=0)
    assert last > 0.94
    assert averaged > 0.94
