"""A whole run against the same updates written out by hand, one jitted step at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.data import Augment, epoch_order, example_keys
from jaxsched.models import CifarResNet
from jaxsched.train import Program, train


def random_key(seed, number):
    """The random key for one use; its number is fixed, because it defines the seed's run."""
    return jax.random.fold_in(jax.random.key(seed), number)


def by_hand(experiment, dataset, seed):
    """The run as defined: a plain loop with SGD written out, without a plan or a program."""
    model = experiment.task.model.build(dataset.num_classes)
    variables = model.init(random_key(seed, 0), dataset.train.images.shape[1:])
    params, stats = variables["params"], variables["batch_stats"]
    N = len(dataset.train)
    order = np.concatenate([epoch_order(random_key(seed, 1), epoch, N) for epoch in range(5)])
    lr = optax.cosine_decay_schedule(0.1, 3.0)
    momentum = optax.tree.zeros_like(params)
    images, labels = jnp.asarray(dataset.train.images), dataset.train.labels
    mean, std = (np.array(x, np.float32).reshape(1, 1, 1, -1) for x in (dataset.mean, dataset.std))

    @jax.jit
    def gradients(params, stats, batch, targets, keys):
        def loss(params):
            logits, new = model.train_logits({"params": params, "batch_stats": stats}, batch, keys)
            picked = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1)
            return -picked.mean(), new

        return jax.grad(loss, has_aux=True)(params)

    example, history = 0, []
    for batch_size, until in ((16, 150), (24, 300)):
        while example < until:
            places = np.arange(example, example + batch_size)
            chosen, epochs = order[places], places // N
            keys = example_keys(random_key(seed, 2), epochs, chosen)
            batch = np.asarray(experiment.task.augment(images[chosen], keys), np.float32) / 255
            inputs = (batch - mean) / std
            grads, stepped = gradients(params, stats, inputs, labels[chosen], keys)
            # Where the batch has grown, the running statistics take as long a step as the updates
            # of the first size would together: 0.9 each becomes 0.9 to the power of their number.
            step = (1 - 0.9 ** (batch_size / 16)) / (1 - 0.9)
            stats = jax.tree.map(lambda old, new, s=step: old + s * (new - old), stats, stepped)
            grads = jax.tree.map(lambda g, w: g + 1e-3 * w, grads, params)
            momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
            rate = float(lr(example / N))
            params = jax.tree.map(lambda w, m, rate=rate: w - rate * m, params, momentum)
            example += batch_size
            history.append(rate)
    return params, stats, history


def run(program, seed):
    rows = []
    outcome = train(program, seed, on_evaluation=rows.append)
    return outcome, rows


def assert_close(ours, theirs, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


def test_a_run_equals_the_same_updates_made_by_hand(experiment, program):
    outcome, rows = run(program, seed=3)
    params, stats, rates = by_hand(experiment, program.dataset, seed=3)
    assert int(outcome.state.step) == len(rates) == 16
    assert_close(outcome.state.params, params, atol=2e-5)
    assert_close(outcome.state.batch_stats, stats, atol=2e-5)
    # 16-batches start at 0, 16, …, 144; 24-batches at 160, 184, …, 304 is past 300.
    assert [row.step for row in rows] == [7, 12, 16]
    assert [row.examples for row in rows] == [112, 208, 304]


def test_rows_hold_the_hyperparameters_of_the_last_update(program):
    _, rows = run(program, seed=0)
    for row in rows:
        last = program.plan.examples_at(row.step - 1) / 100
        rate = 0.05 * (1 + np.cos(np.pi * last / 3))
        assert row.learning_rate == pytest.approx(rate, rel=1e-5)
        assert row.momentum == pytest.approx(0.9)
        assert row.weight_decay == pytest.approx(1e-3)
        assert row.epoch == row.examples / 100
        assert row.batch_size == (16 if row.step <= 10 else 24)
        assert row.train_seconds > 0 and row.evaluation_seconds > 0


def test_evaluation_counts_every_test_image_once(program):
    outcome, rows = run(program, seed=1)
    test = program.dataset.test
    model = program.experiment.task.model.build(4)
    mean, std = (
        np.array(x).reshape(1, 1, 1, -1) for x in (program.dataset.mean, program.dataset.std)
    )
    logits = model.eval_logits(
        outcome.state.variables, jnp.float32((test.images / 255 - mean) / std)
    )
    logits = np.asarray(logits, np.float64)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(50), test.labels]
    assert rows[-1].test_loss == pytest.approx(losses.mean(), rel=1e-4)
    assert rows[-1].test_accuracy == (logits.argmax(1) == test.labels).mean()


def test_progress_counts_only_examples_that_are_trained_on(program):
    counts, marks = [], []
    train(
        program,
        seed=0,
        on_examples=counts.append,
        on_evaluation=lambda row: marks.append((row.examples, list(counts))),
    )
    assert counts == sorted(set(counts)) and len(counts) >= 3
    for mark, so_far in marks:
        assert so_far[-1] < mark  # the evaluation itself reports the last dispatch


def test_a_seed_defines_the_run(program):
    (first, _), (again, _), (other, _) = (run(program, seed) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first.state, again.state)
    assert not np.array_equal(
        first.state.params["head"]["kernel"], other.state.params["head"]["kernel"]
    )


def test_nothing_compiles_during_a_run(program):
    compilations = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compilations.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        run(program, seed=5)
        assert not compilations
        jax.jit(lambda x: x + 5)(jnp.zeros(7))  # the listener does notice a compilation
        assert compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_a_loss_that_is_not_finite_ends_the_run_at_its_update(experiment):
    # The learning rate is 0.01 for the first five updates (80 examples) and enormous after them.
    lr = js.MultiStep(0.01, milestones=(0.8,), factor=1e38)
    hot = dataclasses.replace(
        experiment,
        optimizer=js.SGD(lr),
        phases=(js.Phase(epochs=3, batch_size=16),),
        evaluate_every=0.5,
    )
    outcome, rows = run(Program(hot, hot.task.data.load()), seed=0)
    assert outcome.status == "diverged"
    # Update 5 makes weights whose products overflow; update 6 is the first to use them.
    assert outcome.reason == "diverged at update 6: the training loss is not finite"
    assert [row.step for row in rows] == [4]
    assert int(outcome.state.step) == 7


@pytest.mark.slow
def test_it_learns(experiment):
    longer = dataclasses.replace(
        experiment.with_task(
            augment=Augment(pad=0, flip=False), model=CifarResNet(depth=8, width=4)
        ),
        phases=(js.Phase(epochs=30, batch_size=20),),
        optimizer=js.SGD(js.OneCycle(0.1, duration=30), momentum=0.9),
        evaluate_every=30,
    )
    _, rows = run(Program(longer, longer.task.data.load()), seed=0)
    assert rows[-1].test_accuracy > 0.9  # chance is 0.25


@pytest.mark.slow
def test_bfloat16_computes_in_bfloat16_and_keeps_float32(experiment):
    half = dataclasses.replace(
        experiment, precision="bfloat16", phases=(js.Phase(epochs=1, batch_size=20),)
    )
    full = dataclasses.replace(half, precision="float32")
    states = []
    for version in (half, full):
        outcome, _ = run(Program(version, version.task.data.load()), seed=0)
        states.append(outcome.state)
    assert all(leaf.dtype != jnp.bfloat16 for leaf in jax.tree.leaves(states[0]))
    difference = optax.tree.norm(optax.tree.sub(states[0].params, states[1].params))
    assert 1e-5 < float(difference) < 0.5  # the arithmetic differs, but not the run as a whole
