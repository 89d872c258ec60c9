"""The identity of an experiment, its evaluation marks, and the values that it refuses."""

import dataclasses
import json

import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.experiment import describe


def test_the_description_is_json_of_the_code_that_made_it(experiment):
    content = json.loads(json.dumps(describe(experiment)))
    assert content["type"] == "Experiment"
    assert content["optimizer"]["lr"] == {
        "type": "Cosine", "peak": 0.1, "duration": 3, "end": 0.0
    }  # fmt: skip
    assert content["phases"][1] == {"type": "Phase", "epochs": 1.5, "batch_size": 24}
    assert describe(np.float32(0.5)) == 0.5
    assert describe(float("inf")) == "inf"


def test_the_digest_is_of_everything_but_the_seed(experiment):
    assert dataclasses.replace(experiment, seed=5).digest() == experiment.digest()
    changed = [
        experiment.with_task(label_smoothing=0.1),
        dataclasses.replace(experiment, name="other"),
        dataclasses.replace(experiment, optimizer=js.SGD(js.Cosine(0.1, duration=4))),
        dataclasses.replace(experiment, phases=(js.Phase(1.5, 16), js.Phase(1.5, 20))),
    ]
    digests = {e.digest() for e in (experiment, *changed)}
    assert len(digests) == 5


def test_gradients_in_float32_leave_descriptions_as_they_were(experiment):
    assert "gradient_dtype" not in describe(experiment)
    half = dataclasses.replace(experiment, precision="bfloat16", gradient_dtype="bfloat16")
    assert describe(half)["gradient_dtype"] == "bfloat16"


def test_gradients_of_a_float32_network_are_not_rounded(experiment):
    with pytest.raises(ValueError, match='got precision="float32"; give it precision="bfloat16"'):
        dataclasses.replace(experiment, gradient_dtype="bfloat16")


def test_functions_are_told_apart_by_their_code_and_what_they_close_over(experiment):
    def digest(lr):
        return dataclasses.replace(experiment, optimizer=js.SGD(lr)).digest()

    def decaying(rate):
        return lambda epoch: 0.1 / (1 + rate * epoch)

    assert digest(decaying(1.0)) == digest(decaying(1.0))
    assert digest(decaying(1.0)) != digest(decaying(2.0))
    assert digest(lambda epoch: 0.1 * epoch) != digest(lambda epoch: 0.2 * epoch)
    factories = [js.FromOptax(f, {"learning_rate": 0.1}) for f in (optax.sgd, optax.lion)]
    assert len({dataclasses.replace(experiment, optimizer=f).digest() for f in factories}) == 2


@pytest.mark.parametrize(
    ("phases", "every", "steps"),
    [
        # marks at 100, 200, 300 examples; updates start at multiples of 16, then of 24
        (((1.5, 16), (1.5, 24)), 1.0, (7, 12, 16)),
        (((3, 100),), 1.0, (1, 2, 3)),
        (((3, 100),), 0.5, (1, 2, 3)),  # two marks within one update are one evaluation
        (((3, 10),), 0.5, (5, 10, 15, 20, 25, 30)),
        (((2.5, 10),), 1.0, (10, 20, 25)),  # and one at the end
        (((1, 10),), 7.0, (10,)),
    ],
)
def test_evaluations_stand_at_marks_in_examples(experiment, phases, every, steps):
    phases = tuple(js.Phase(*phase) for phase in phases)
    changed = dataclasses.replace(experiment, phases=phases, evaluate_every=every)
    assert changed.evaluation_steps(num_examples=100) == steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate_every": 0}, "above 0 epochs, got 0"),
        ({"seed": -1}, r"a seed within \[0, 2\*\*31\), got -1"),
        ({"name": "a/b"}, "letters, digits, .* got 'a/b'"),
        ({"name": ""}, "got ''"),
    ],
)
def test_what_makes_no_sense_is_refused(experiment, changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(experiment, **changes)
