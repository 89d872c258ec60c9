"""A study that is trained, in which an average reaches a target that raw weights never reach."""

import dataclasses

import numpy as np
import pytest
from flax import linen as nn
from rich.console import Console

import jaxsched as js
from jaxsched.bench import Results, Study, run_study, study_records
from jaxsched.data import Arrays
from jaxsched.experiment import Experiment
from jaxsched.tasks import MeanSquaredError, Supervised
from jaxsched.tracking import Progress

# Of inputs that are all 0 only the bias b matters. Its loss is (b − 2)², so that an update by
# SGD multiplies b − 2 by 1 − 2 · RATE = −0.98: it swings from side to side, and its mean does not.
INPUTS, TARGETS = np.zeros((8, 1), np.float32), np.full((8, 1), 2.0, np.float32)
RATE, TARGET = 0.99, 0.1
plain = Experiment(
    name="plain",
    task=Supervised(
        model=nn.Dense(1),
        data=Arrays((INPUTS, TARGETS), test=(INPUTS, TARGETS)),
        loss=MeanSquaredError(),
    ),
    phases=(js.Phase(epochs=3, batch_size=2),),
    optimizer=js.SGD(RATE),
    evaluate_every=0.25,
    num_devices=1,
)
averaging = js.Averaging(start=0, every="1 updates")
swa = dataclasses.replace(plain, name="swa", optimizer=js.SGD(RATE, averaging=averaging))


def test_the_average_wins_and_raw_weights_do_not(tmp_path):
    study = Study(name="swing", experiments=(plain, swa), seeds=(0,), target=TARGET)
    with Progress(Console(quiet=True)) as progress:
        run_study(study, tmp_path, source_text="", progress=progress)
    records = study_records(study, tmp_path)
    distances = [2.0 * (-0.98) ** t for t in range(1, 13)]
    means = np.cumsum(distances) / np.arange(1, 13)
    assert min(np.square(distances)) > TARGET
    first = 1 + int(np.argmax(np.square(means) <= TARGET))

    by_average = Results.of(study.manifest(), records)
    (missed, won) = by_average.summaries
    assert (missed.steps, won.steps) == (None, first)
    assert won.final_mean == pytest.approx(means[-1] ** 2, rel=1e-4)
    assert missed.final_mean == pytest.approx(distances[-1] ** 2, rel=1e-4)
    (gain,) = by_average.by_average
    assert gain.estimate == pytest.approx(means[-1] ** 2 - distances[-1] ** 2, rel=1e-4)

    raw = dataclasses.replace(study, evaluate="raw")
    assert [s.steps for s in Results.of(raw.manifest(), records).summaries] == [None, None]
    with pytest.raises(ValueError, match="'averaged' or 'raw' or 'better', got 'best'"):
        dataclasses.replace(study, evaluate="best")
