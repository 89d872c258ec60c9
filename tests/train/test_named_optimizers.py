"""Optax's optimizers by name in an experiment: whole in records, and after a resume."""

import dataclasses
import json

import jax
import numpy as np
import optax
import optax.contrib
import pytest

import jaxsched as js
from jaxsched.experiment import describe, rebuild
from jaxsched.train import Program, train
from jaxsched.train.checkpointing.checkpoints import Checkpoints, restore_named
from jaxsched.train.checkpointing.run_state import RunState

FALL = js.Cosine(0.02, "100%")
NAMED = {
    "lamb": js.FromOptax(optax.lamb, {"learning_rate": FALL, "weight_decay": 1e-3}),
    "lars": js.FromOptax(optax.lars, {"learning_rate": FALL, "momentum": 0.9}),
    "muon": js.FromOptax(optax.contrib.muon, {"learning_rate": FALL}),
    "schedule_free": js.FromOptax(
        optax.contrib.schedule_free_adamw, {"learning_rate": 0.01, "warmup_steps": 3}
    ),
}


@pytest.fixture(params=NAMED)
def named(request, experiment):
    return dataclasses.replace(experiment, name=request.param, optimizer=NAMED[request.param])


def test_its_record_makes_it_again(named):
    written = json.loads(json.dumps(describe(named)))
    assert rebuild(written) == named
    factory, arguments = named.optimizer.factory, named.optimizer.arguments
    assert f":{factory.__name__}@" in written["optimizer"]["factory"]
    other = dataclasses.replace(
        named, optimizer=js.FromOptax(factory, {**arguments, "learning_rate": 0.03})
    )
    assert other.digest() != named.digest()


@pytest.mark.slow
def test_it_learns_and_resumes_bit_for_bit(named, tmp_path):
    program = Program(named, named.task.data.load())
    whole = train(program, 0, on_evaluation=lambda row: None)
    losses = [row.train_loss for row in whole.rows]
    assert losses[-1] < losses[0]
    assert "learning_rate" in js.hyperparams(whole.state.opt_state)

    cut = train(program, 0, on_evaluation=lambda row: None, stop=lambda rows: "cut" if rows else "")
    state = RunState(cut.state, program.zero_sums(), cut.plan, cut.rows)
    step = cut.rows[-1].step
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save_named("cut", step, state.arrays, state.content(step))
    saved = restore_named(tmp_path / "run" / "cut", RunState.first(program, 0).arrays)
    resumed = train(program, 0, on_evaluation=lambda row: None, start=RunState.of(saved, program))
    jax.tree.map(np.testing.assert_array_equal, resumed.state.params, whole.state.params)
    jax.tree.map(np.testing.assert_array_equal, resumed.state.opt_state, whole.state.opt_state)
