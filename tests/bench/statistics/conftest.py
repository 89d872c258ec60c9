"""A fixture that makes records with given accuracies."""

import pytest

from jaxsched.tracking import Record


@pytest.fixture(scope="session")
def run():
    def make(accuracies, *, name="a", seed=0, status="finished", steps=None):
        steps = steps or [10 * n for n in range(1, len(accuracies) + 1)]
        rows = tuple(
            {
                "step": step,
                "examples": 32 * step,
                "train_seconds": step / 20,
                "test_accuracy": accuracy,
            }
            for step, accuracy in zip(steps, accuracies, strict=True)
        )
        return Record({"name": name, "seed": seed}, rows, {"status": status, "reason": ""})

    return make
