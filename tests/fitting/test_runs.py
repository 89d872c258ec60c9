"""fit's runs: resumed, on several devices, from batches, as specs that compare and are recorded."""

import json

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from flax import nnx

import jaxsched as js
from jaxsched.data import Arrays
from jaxsched.experiment import describe
from jaxsched.models import LinenModule, NnxModule
from jaxsched.tasks import MeanSquaredError, Supervised
from jaxsched.tracking import read_record
from jaxsched.train import Member, MembersDriver, Population

RANDOM = np.random.default_rng(1)
TOKENS = RANDOM.integers(0, 7, size=(64, 5))
NEXT = np.roll(TOKENS, -1, axis=1)
TABLE = RANDOM.normal(size=(64, 4))
SUM = TABLE.sum(axis=1, keepdims=True)


class Tagger(nn.Module):
    """Whole-number inputs, a label for each place, batch norm and dropout."""

    @nn.compact
    def __call__(self, x, *, deterministic: bool = True):
        x = nn.BatchNorm(use_running_average=deterministic, momentum=0.8)(nn.Embed(7, 6)(x))
        return nn.Dense(7)(nn.Dropout(0.2, deterministic=deterministic)(x))


def fit_tagger(**options):
    settings = {"epochs": 3, "batch_size": 16, "num_devices": 1, **options}
    return js.fit(
        Tagger(), (TOKENS, NEXT), test=(TOKENS[:20], NEXT[:20]),
        optimizer=js.SGD(js.Cosine(0.5, "100%"), momentum=0.9), **settings,
    )  # fmt: skip


def interrupt(row):
    if row.epoch >= 2:
        raise KeyboardInterrupt


def assert_same(ours, theirs, atol=0.0):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), ours, theirs)


def metrics(fitted):
    return [dict(row.metrics) for row in fitted.rows]


@pytest.mark.slow
def test_a_resumed_run_is_one_that_was_never_interrupted(tmp_path):
    whole = fit_tagger()
    with pytest.raises(KeyboardInterrupt):
        fit_tagger(workdir=tmp_path, on_evaluation=interrupt)
    (record,) = tmp_path.glob("fit-*.jsonl")
    assert read_record(record).end is None
    resumed = fit_tagger(workdir=tmp_path)
    assert resumed.record == record and read_record(record).header["resumed_at"] == 4
    assert metrics(resumed) == metrics(whole)
    assert_same(resumed.variables, whole.variables)
    # The same call once more trains nothing and returns the same.
    written = record.read_bytes()
    again = fit_tagger(workdir=tmp_path)
    assert metrics(again) == metrics(whole) and record.read_bytes() == written
    assert_same(again.variables, whole.variables)


@pytest.mark.slow
def test_four_devices_are_one():
    one, four = fit_tagger(), fit_tagger(num_devices=4)
    for ours, theirs in zip(metrics(four), metrics(one), strict=True):
        assert ours["test_loss"] == pytest.approx(theirs["test_loss"], rel=1e-5)
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
    assert_same(four.variables, one.variables, atol=1e-5)


@pytest.mark.slow
def test_batch_norm_is_over_the_global_batch_under_pmap():
    options = {
        "optimizer": js.SGD(0.1), "test": (TABLE, SUM), "batch_size": 16, "epochs": 1,
        "loss": "mean_squared_error", "num_devices": 4,
    }  # fmt: skip
    networks = (
        nn.Sequential([nn.Dense(8), nn.BatchNorm(), nn.Dense(1)]),
        lambda rngs: nnx.Sequential(nnx.BatchNorm(4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)),
    )
    for network in networks:
        jit, pmap = (
            js.fit(network, (TABLE, SUM), driver=driver, **options) for driver in ("jit", "pmap")
        )
        assert_same(pmap.variables, jit.variables, atol=1e-6)


def test_batches_are_read_once_and_shuffled_anew():
    batches = [(TABLE[i : i + 10], SUM[i : i + 10]) for i in range(0, 64, 10)]
    options = {
        "test": batches, "optimizer": optax.adam(0.1), "loss": MeanSquaredError(),
        "batch_size": 20, "epochs": 1,
    }  # fmt: skip
    from_arrays = js.fit(nn.Dense(1), (TABLE, SUM), **options)
    from_batches = js.fit(nn.Dense(1), lambda: iter(batches), **options)
    assert metrics(from_batches) == metrics(from_arrays)
    assert from_batches.experiment == from_arrays.experiment
    assert from_batches.experiment.digest() == from_arrays.experiment.digest()


@pytest.mark.slow
def test_what_the_trainer_can_do_is_at_hand():
    fitted = js.fit(
        nn.Dense(1),
        (TABLE, SUM),
        test=0.25,
        loss="mean_squared_error",
        optimizer=js.SGD(
            0.02, averaging=js.Averaging(start=0), noise=js.NoiseEstimate(), abel=js.Abel(0.5)
        ),
        phases=(js.Phase(2, 8), js.Phase(1, 16)),
        weight_norms=True,
        max_device_batch=4,
        augment=lambda key, x: x + 0.01 * jax.random.normal(key, x.shape),
    )
    last = fitted.rows[-1]
    assert [row.batch_size for row in fitted.rows] == [8, 8, 16]
    assert last.noise is not None and last.abel is not None and last.layers is not None
    assert last.num_averaged == 3 and last.averaged_test_loss is not None
    error = np.mean((fitted.predict(TABLE, averaged=True) - SUM) ** 2)
    assert error == pytest.approx(last.averaged_test_loss, rel=0.5)
    assert fitted.predict(TABLE[:1]).shape == (1, 1)


@pytest.mark.slow
def test_members_of_a_population_are_the_runs_alone():
    def made(rngs):
        return nnx.Linear(4, 1, rngs=rngs)

    options = {"loss": "mean_squared_error", "optimizer": js.SGD(0.05), "test": (TABLE, SUM)}
    options |= {"epochs": 2, "batch_size": 16, "num_devices": 1}
    alone = [js.fit(made, (TABLE, SUM), seed=seed, **options) for seed in (0, 1)]
    experiment = alone[0].experiment
    members = [Member(experiment, seed) for seed in (0, 1)]
    driver = MembersDriver(jax.devices()[:1], per_device=2)
    runs = Population(members, experiment.task.data.load(), driver).start(members)
    runs.advance(8)
    found = [float(sums.mean_loss) for sums in runs.evaluate()]
    expected = [fitted.rows[-1].test_loss for fitted in alone]
    assert expected[0] != pytest.approx(expected[1], rel=1e-3)  # other weights by another seed
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_specs_compare_hash_and_are_recorded_by_content():
    first, same, other = (Arrays((TABLE * scale, SUM), validation=0.5) for scale in (1, 1, 2))
    assert first == same != other and hash(first) == hash(same)
    assert "digest" in json.dumps(describe(first))
    assert LinenModule(nn.Dense(3)) == LinenModule(nn.Dense(3)) != LinenModule(nn.Dense(4))
    assert NnxModule(nnx.Linear(2, 3, rngs=nnx.Rngs(0))) == NnxModule(
        nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    )
    assert NnxModule(nnx.Linear(2, 3, rngs=nnx.Rngs(0))) != NnxModule(
        nnx.Linear(2, 3, rngs=nnx.Rngs(1))
    )
    task = Supervised(nn.Dense(1), first, MeanSquaredError())
    assert json.loads(json.dumps(describe(task)))["model"]["module"]["features"] == 1
    assert task == Supervised(nn.Dense(1), same, MeanSquaredError())
    assert hash(task) == hash(Supervised(nn.Dense(1), same, MeanSquaredError()))
