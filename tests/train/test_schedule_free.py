"""Schedule-free optimizers in whole runs: x is the average, and is evaluated as averages are."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import schedule_free_adamw, schedule_free_eval_params, schedule_free_sgd

import jaxsched as js
from jaxsched.cli import main
from jaxsched.data import Digits
from jaxsched.tracking import read_record
from jaxsched.train import Program, load_run
from jaxsched.train.population.members import why_alone
from jaxsched.train.program.compiler import ProgramCompiler

RANDOM = np.random.default_rng(2)
TABLE = np.float32(RANDOM.normal(size=(40, 4)))
SUM = TABLE.sum(axis=1, keepdims=True)
NETWORK = nn.Dense(1, kernel_init=nn.initializers.constant(3.0))


def error(params):
    return np.mean((TABLE @ params["kernel"] + params["bias"] - SUM) ** 2)


def by_hand(tx, updates, evaluated=schedule_free_eval_params):
    """Yields the weights y and x after each update on all examples, in a loop with Optax alone."""
    y = {"kernel": jnp.full((4, 1), 3.0), "bias": jnp.zeros(1)}
    state = tx.init(y)

    @jax.jit
    def step(y, state):
        def loss(w):
            return jnp.mean((TABLE @ w["kernel"] + w["bias"][None] - SUM) ** 2)

        changes, state = tx.update(jax.grad(loss)(y), state, y)
        return optax.apply_updates(y, changes), state

    for _ in range(updates):
        y, state = step(y, state)
        yield jax.device_get((y, evaluated(state, y)))


def fit(tx):
    """The run of the loop by hand, in the trainer."""
    return js.fit(
        NETWORK, (TABLE, SUM), test=(TABLE, SUM), optimizer=tx, loss="mean_squared_error",
        epochs=5, batch_size=40, num_devices=1,
    )  # fmt: skip


def test_a_run_is_evaluated_at_x_as_in_a_loop_by_hand():
    tx = schedule_free_sgd(0.3, warmup_steps=2, b1=0.9)
    fitted = fit(tx)
    for row, (y, x) in zip(fitted.rows, by_hand(tx, 5), strict=True):
        assert row.test_loss == pytest.approx(error(y), rel=1e-4)
        assert row.averaged_test_loss == pytest.approx(error(x), rel=1e-4)
        assert row.num_averaged == row.step
    assert fitted.rows[-1].averaged_test_loss != pytest.approx(fitted.rows[-1].test_loss, rel=0.1)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6),
        fitted.averaged["params"], x,
    )  # fmt: skip
    np.testing.assert_allclose(
        fitted.predict(TABLE, averaged=True), TABLE @ x["kernel"] + x["bias"], rtol=1e-3, atol=1e-5
    )


def test_an_average_that_is_part_of_a_chain_is_evaluated_too():
    sgd, ys = optax.sgd(0.1), []
    rows = fit(optax.chain(sgd, js.average_params(lambda step: step >= 0))).rows
    for row, (y, _) in zip(rows, by_hand(sgd, 5, lambda state, y: y), strict=True):
        ys.append(y)
        mean = jax.tree.map(lambda *each: np.mean(each, axis=0), *ys)
        assert row.averaged_test_loss == pytest.approx(error(mean), rel=1e-4)
        assert row.num_averaged == len(ys)


def free(**stateful):
    arguments = {"learning_rate": js.Warmup(js.Constant(0.05), 0.5)}
    return js.FromOptax(schedule_free_adamw, arguments, **stateful)


@pytest.mark.parametrize(
    ("stateful", "fix"),
    [
        ({"averaging": js.Averaging(start=1)}, "leave averaging out"),
        ({"abel": js.Abel(last_decay=None)}, "put them into its base optimizer"),
        ({"plateau": js.Plateau()}, "put them into its base optimizer"),
    ],
    ids=["averaging", "abel", "plateau"],
)
def test_what_would_spoil_x_is_refused_before_anything_compiles(
    experiment, monkeypatch, stateful, fix
):
    monkeypatch.setattr(ProgramCompiler, "updates", lambda *_: pytest.fail("it compiled"))
    wrong = dataclasses.replace(experiment, optimizer=free(**stateful))
    with pytest.raises(ValueError, match=fix):
        Program(wrong, wrong.task.data.load())


def test_its_runs_cannot_be_members_of_a_population(experiment):
    one_phase = dataclasses.replace(experiment, phases=experiment.phases[:1], optimizer=free())
    reason = "it has an average, whose statistics are re-estimated"
    assert why_alone(one_phase, one_phase.task.data.load()) == reason


CONFIG = """
import jaxsched as js
from jaxsched.data import Digits
from jaxsched.experiment import Experiment
from jaxsched.models import ResNet
from jaxsched.tasks import ImageClassification
from optax.contrib import schedule_free_adamw

experiment = Experiment(
    name="free",
    task=ImageClassification(model=ResNet(stages=(1,), width=4), data=Digits()),
    phases=(js.Phase(2, 48),),
    optimizer=js.FromOptax(
        schedule_free_adamw, {"learning_rate": js.Warmup(js.Constant(0.02), 0.5)}
    ),
    num_devices=1,
)
"""


@pytest.mark.slow
def test_records_checkpoints_and_printed_lines_have_x(tmp_path, capsys):
    (tmp_path / "config.py").write_text(CONFIG)
    main(["train", str(tmp_path / "config.py"), "--workdir", str(tmp_path)])
    printed = capsys.readouterr().out
    (path,) = tmp_path.glob("*.jsonl")
    record = read_record(path)
    rows = record.evaluations
    for row in rows:
        assert f"averaged accuracy {row['averaged_test_accuracy']:.2%}" in printed
    assert all(row["num_averaged"] == row["step"] for row in rows)
    assert rows[-1]["averaged_test_accuracy"] > 0.2  # of ten classes
    loaded, test = load_run(path), Digits().load().test
    found = loaded.predict(test.images, averaged=True)
    assert (found.argmax(-1) == test.labels).mean() == pytest.approx(
        rows[-1]["averaged_test_accuracy"]
    )
    # With statistics of its own.
    x, y = loaded.averaged_variables, loaded.variables
    state = loaded.state.opt_state["optimizer"].inner_state
    theirs = schedule_free_eval_params(state, y["params"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), x["params"], theirs
    )
    norms = [jax.tree.leaves(part["batch_stats"]) for part in (x, y)]
    assert max(np.abs(a - b).max() for a, b in zip(*norms, strict=True)) > 1e-3
    assert record.end["average_on_all"]["test_accuracy"] == pytest.approx(
        rows[-1]["averaged_test_accuracy"], abs=0.02
    )
    best = load_run(path, "best")
    assert best.metrics["averaged_test_accuracy"] == pytest.approx(
        (best.predict(test.images, averaged=True).argmax(-1) == test.labels).mean()
    )
