"""Runs that start from another run's layers: which arrays they have, and what is refused."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.cli import main
from jaxsched.data import Synthetic
from jaxsched.experiment import Pretrained, describe, rebuild, with_value
from jaxsched.train import (
    CheckpointPolicy,
    Checkpoints,
    Program,
    SignalHandler,
    load_run,
    train,
)
from jaxsched.train.loading.transfer import load_pretrained
from jaxsched.train.population.members import why_alone
from jaxsched.train.program import program as program_module

BODY = ("stem*", "stage*")


@pytest.fixture(scope="module")
def source(program, tmp_path_factory):
    """The checkpoints of a run with four classes."""
    folder = tmp_path_factory.mktemp("transfer") / "source"
    with Checkpoints(folder) as checkpoints:
        policy = CheckpointPolicy(lambda: checkpoints, program, 7, SignalHandler(), save_last=True)
        train(program, 7, on_evaluation=lambda row: None, checkpoint_policy=policy)
    return folder


@pytest.fixture(scope="module")
def other(experiment, source):
    """An experiment with three classes that starts from the body of the source."""
    changed = with_value(experiment, "data", Synthetic(num_train=60, num_test=30, num_classes=3))
    return dataclasses.replace(changed, name="other", pretrained=Pretrained(str(source), BODY))


def leaves(tree, *names):
    return [leaf for name in names for leaf in jax.tree.leaves(tree.get(name, {}))]


def same(ours, theirs):
    assert len(ours) == len(theirs) > 0
    return [np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.slow
def test_the_body_is_the_other_runs_and_the_head_its_own(source, other):
    """A frozen layer stays bit for bit what it was in the other run; a slower one moves."""
    optimizer = js.SGD(
        0.1, momentum=0.9, weight_decay=0.1, lr_factors=(("stem*", 0.0), ("stage*", 0.1))
    )
    other = dataclasses.replace(other, optimizer=optimizer)
    program = Program(other, other.task.data.load())
    plain = Program(dataclasses.replace(other, pretrained=None), program.dataset)
    theirs, drawn = load_run(source).variables, jax.device_get(plain.init(0))
    first = jax.device_get(program.init(0))
    last = jax.device_get(train(program, 0, on_evaluation=lambda row: None).state)
    stem, body = ("stem_conv", "stem_norm"), ("stem_conv", "stem_norm", "stage1_block1")
    assert all(same(leaves(first.params, *body), leaves(theirs["params"], *body)))
    assert all(same(leaves(first.batch_stats, *body), leaves(theirs["batch_stats"], *body)))
    assert all(same(leaves(first.params, "head"), leaves(drawn.params, "head")))
    assert all(same(leaves(last.params, *stem), leaves(theirs["params"], *stem)))
    assert not any(
        same(leaves(last.params, "stage1_block1"), leaves(first.params, "stage1_block1"))
    )
    assert program.pretrained.origin["layers"][0] == "stage1_block1/conv1"


def refused(experiment, pretrained, monkeypatch, kind=ValueError):
    """The message of a program that is refused, which may place and compile nothing."""
    monkeypatch.setattr(program_module, "place_data", None)
    experiment = dataclasses.replace(experiment, pretrained=pretrained)
    with pytest.raises(kind) as error:
        Program(experiment, experiment.task.data.load())
    return str(error.value)


@pytest.mark.slow
def test_what_does_not_fit_is_named_before_anything_compiles(source, other, monkeypatch):
    run = str(source)
    message = refused(other, Pretrained(run), monkeypatch)
    assert "head/bias: expected float32[3], got float32[4]; head/kernel: expected" in message
    assert f"do not fit those of {source}/" in message and "Leave them out" in message
    message = refused(other, Pretrained(run, ("stem*", "steem*")), monkeypatch)
    assert "'steem*', one of no layer; the layers are head, stage1_block1/conv1," in message
    deeper = with_value(other, "model.stages", (1, 1))
    message = refused(deeper, Pretrained(run, BODY), monkeypatch)
    assert "stage2_block1/conv1/kernel: expected float32[3, 3, 2, 4], got none" in message
    wider = with_value(other, "model.width", 4)
    message = refused(wider, Pretrained(run, ("stem*",)), monkeypatch)
    assert "stem_conv/kernel: expected float32[3, 3, 3, 4], got float32[3, 3, 3, 2]" in message
    missing = Pretrained(f"{run}/no", BODY)
    assert "expected the path of a run's record" in refused(
        other, missing, monkeypatch, FileNotFoundError
    )


@pytest.mark.slow
def test_the_average_is_taken_with_its_own_statistics(experiment, tmp_path):
    optimizer = js.SGD(0.1, averaging=js.Averaging(start=1, every="2 updates"))
    averaged = dataclasses.replace(experiment, optimizer=optimizer)
    program = Program(averaged, averaged.task.data.load())
    with Checkpoints(tmp_path / "run") as checkpoints:
        policy = CheckpointPolicy(lambda: checkpoints, program, 0, SignalHandler(), save_last=True)
        train(program, 0, on_evaluation=lambda row: None, checkpoint_policy=policy)
    run, like = load_run(tmp_path / "run"), program.shapes[0].variables
    spec = Pretrained(tmp_path / "run", averaged=True)
    found = load_pretrained(spec, like).put_into(run.variables)
    for kind in ("params", "batch_stats"):
        assert all(same(*(jax.tree.leaves(v[kind]) for v in (found, run.averaged_variables))))
        assert not all(same(*(jax.tree.leaves(v[kind]) for v in (found, run.variables))))


def test_it_is_part_of_the_experiment_and_of_nothing_older(experiment, other):
    assert "pretrained" not in describe(experiment)
    assert rebuild(json.loads(json.dumps(describe(other)))) == other
    assert dataclasses.replace(other, pretrained=None).digest() != other.digest()
    assert "another run's layers" in why_alone(other, other.task.data.load())
    with pytest.raises(ValueError, match="Pretrained needs layers with at least one pattern"):
        Pretrained("run", ())


@pytest.mark.slow
def test_a_resumed_run_does_not_need_the_other_run(source, tmp_path):
    shutil.copytree(source, tmp_path / "source")
    (tmp_path / "other.py").write_text(f"""
import jaxsched as js
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment, Pretrained
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="other",
    task=ImageClassification(
        model=ResNet(stages=(1,), width=2),
        data=Synthetic(num_train=60, num_test=30, num_classes=3),
    ),
    phases=(js.Phase(1, 20), js.Phase(1, 10)),
    optimizer=js.SGD(0.1),
    num_devices=1,
    pretrained=Pretrained({str(tmp_path / "source")!r}, layers={BODY!r}),
)
""")
    command = ["train", str(tmp_path / "other.py"), "--workdir", str(tmp_path / "runs")]
    main(command)
    (record,) = (tmp_path / "runs").glob("*.jsonl")
    header, *rows, _ = lines = record.read_text().splitlines()
    origin = json.loads(header)["pretrained"]
    assert (origin["experiment"], origin["seed"], origin["step"]) == ("small", 7, 16)
    # As if it had been cut off after its first evaluation, and the other run removed since.
    record.write_text("\n".join(lines[:2]) + "\n")
    shutil.rmtree(record.with_suffix("") / "9")
    shutil.rmtree(tmp_path / "source")
    main([*command, "--resume"])
    again, *rows_again, _ = record.read_text().splitlines()
    assert json.loads(again)["pretrained"] == origin and json.loads(again)["resumed_at"] == 3
    last, last_again = (json.loads(found[-1]) for found in (rows, rows_again))
    assert last["test_loss"] == last_again["test_loss"] and last["step"] == 9
