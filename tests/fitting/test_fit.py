"""fit against loops of plain Optax and JAX, closed forms in float64, and itself in other ways."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxsched as js
from jaxsched.data import epoch_order, example_keys
from jaxsched.models import LinenModule
from jaxsched.tasks import OwnMetric
from jaxsched.train.rng import random_key

N, BATCH, EPOCHS = 100, 16, 2
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 6)).astype(np.float32)
Y = (X[:, :3] + RANDOM.normal(size=(N, 3))).argmax(axis=1)
TEST = (X[:30], Y[:30])


class Net(nn.Module):
    """Batch norm and dropout, as Flax's guide writes them."""

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Dense(8)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.Dropout(0.3, deterministic=not train)(nn.relu(x))
        return nn.Dense(3)(x)


class NnxNet(nnx.Module):
    def __init__(self, *, rngs):
        self.hidden = nnx.Linear(6, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.3, rngs=rngs)
        self.out = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.out(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


def batches(num_examples=N, batch_size=BATCH, epochs=EPOCHS, seed=0):
    """Each batch's examples and the epoch of each: the endless stream, cut without a rest."""
    key = random_key(seed, "order")
    order = np.concatenate([epoch_order(key, e, num_examples) for e in range(epochs + 1)])
    for start in range(0, epochs * num_examples, batch_size):
        places = np.arange(start, start + batch_size)
        yield order[places], places // num_examples


def losses(fitted):
    return [row.train_loss for row in fitted.rows]


def plain_linen_loop(tx):
    """The loop that a user of Flax writes, on the same batches and keys; the loss of each batch."""
    variables = jax.jit(lambda key: Net().init(key, X[:1], train=False))(random_key(0, "weights"))
    params, stats, state = variables["params"], variables["batch_stats"], None
    state = tx.init(params)

    @jax.jit
    def update(params, stats, state, x, y, key):
        def mean_loss(params):
            logits, new = Net().apply(
                {"params": params, "batch_stats": stats},
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new

        (loss, new), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), new["batch_stats"], state, loss

    found = []
    for examples, epochs in batches():
        key = example_keys(random_key(0, "dropout"), epochs, examples)[0]
        params, stats, state, loss = update(params, stats, state, X[examples], Y[examples], key)
        found.append(float(loss))
    return {"params": params, "batch_stats": stats}, found


def assert_close(ours, theirs, atol):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=0), ours, theirs)


def test_it_is_the_loop_that_a_user_of_flax_writes():
    tx = optax.sgd(optax.cosine_decay_schedule(0.2, 13), momentum=0.9)
    variables, expected = plain_linen_loop(tx)
    fitted = js.fit(
        Net(), (X, Y), test=TEST, optimizer=tx, batch_size=BATCH, epochs=EPOCHS,
        evaluate_every=BATCH / N, num_devices=1,
    )  # fmt: skip
    np.testing.assert_allclose(losses(fitted), expected, rtol=2e-6)
    assert_close(fitted.variables, variables, atol=2e-6)
    logits = Net().apply(variables, X[:5], train=False)
    np.testing.assert_allclose(fitted.predict(X[:5]), logits, atol=1e-5)
    np.testing.assert_allclose(
        fitted.module.apply(fitted.variables, X[:5], train=False), logits, atol=1e-5
    )


@pytest.mark.slow
def test_nnx_is_the_loop_with_nnx_optimizer():
    plain = NnxNet(rngs=nnx.Rngs(3))
    given = nnx.clone(plain)
    optimizer = nnx.Optimizer(plain, optax.sgd(0.1, momentum=0.9), wrt=nnx.Param)

    @nnx.jit
    def update(model, optimizer, x, y):
        def mean_loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

        loss, grads = nnx.value_and_grad(mean_loss)(model)
        optimizer.update(model, grads)
        return loss

    expected = []
    for examples, epochs in batches():
        key = example_keys(random_key(0, "dropout"), epochs, examples)[0]
        plain.dropout.rngs.key.set_value(jax.random.fold_in(key, 0))
        plain.dropout.rngs.count.set_value(jnp.uint32(0))
        expected.append(float(update(plain, optimizer, X[examples], Y[examples])))
    fitted = js.fit(
        given, (X, Y), test=TEST, optimizer=js.SGD(0.1, momentum=0.9), batch_size=BATCH,
        epochs=EPOCHS, evaluate_every=BATCH / N, num_devices=1,
    )  # fmt: skip
    np.testing.assert_allclose(losses(fitted), expected, rtol=5e-6)
    plain.eval()
    np.testing.assert_allclose(fitted.module(X[:5]), plain(X[:5]), atol=1e-5)
    np.testing.assert_allclose(fitted.predict(X[:5]), plain(X[:5]), atol=1e-5)
    # The module that was given is as it was: the run began from its weights.
    assert_close(
        nnx.to_pure_dict(nnx.state(given, nnx.Param)),
        nnx.to_pure_dict(nnx.state(NnxNet(rngs=nnx.Rngs(3)), nnx.Param)),
        atol=0,
    )


def test_linear_regression_by_sgd_is_its_closed_form():
    targets = X @ np.arange(6.0)[:, None] + 1
    fitted = js.fit(
        nn.Dense(1, kernel_init=nn.initializers.zeros),
        (X, targets),
        test=(X, targets),
        loss="mean_squared_error",
        optimizer=js.Linear(0.05, 0.0, duration="100%"),
        batch_size=N,
        epochs=30,
        metrics=(OwnMetric("absolute", lambda o, y: abs(o - y)[:, 0], better="lower"),),
        num_devices=1,
    )
    # Of whole batches, the gradient of the mean square is linear: w ← w − lr (H w − b).
    x = np.concatenate([X, np.ones((N, 1))], axis=1).astype(np.float64)
    w, expected = np.zeros((7, 1)), []
    for step in range(30):
        w -= 0.05 * (1 - step / 30) * 2 / N * x.T @ (x @ w - targets)
        expected.append(np.mean((x @ w - targets) ** 2))
    np.testing.assert_allclose([row.test_loss for row in fitted.rows], expected, rtol=1e-4)
    last = fitted.rows[-1]
    assert last.test_absolute == pytest.approx(np.abs(x @ w - targets).mean(), rel=1e-4)
    found = np.concatenate(
        [fitted.variables["params"]["kernel"], [fitted.variables["params"]["bias"]]]
    )
    np.testing.assert_allclose(found, w, rtol=1e-4)


def test_batch_statistics_are_those_of_the_batches():
    fitted = js.fit(
        nn.Sequential([nn.BatchNorm(momentum=0.9), nn.Dense(3, kernel_init=nn.initializers.zeros)]),
        (X, Y), test=TEST, batch_size=BATCH, epochs=1, num_devices=1,
        optimizer=js.SGD(0.1, averaging=js.Averaging(start=0)),
    )  # fmt: skip
    mean, var = np.zeros(6), np.ones(6)
    for examples, _ in batches(epochs=1):
        mean = 0.9 * mean + 0.1 * X[examples].mean(axis=0, dtype=np.float64)
        var = 0.9 * var + 0.1 * X[examples].var(axis=0, dtype=np.float64)
    stats = fitted.variables["batch_stats"]["layers_0"]
    np.testing.assert_allclose(stats["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(stats["var"], var, rtol=1e-5)
    # The average's own are those of all examples, each once, as if they were one batch.
    pooled = fitted.averaged["batch_stats"]["layers_0"]
    np.testing.assert_allclose(pooled["mean"], X.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(pooled["var"], X.var(axis=0), rtol=1e-5)


class Ones(nn.Module):
    """Its outputs are the dropout of ones, so that the loss shows the masks."""

    @nn.compact
    def __call__(self, x, *, deterministic: bool):
        weight = self.param("weight", nn.initializers.ones, (1,))
        return nn.Dropout(0.5, deterministic=deterministic)(jnp.ones((len(x), 40)) * weight[None])


def test_dropout_differs_from_example_to_example_and_from_step_to_step():
    functions = LinenModule(Ones()).functions()
    variables = functions.init(jax.random.key(0), (X,))
    first, second = (functions.train(variables, (X[:4],), jax.random.key(i))[0] for i in (1, 2))
    assert len({row.tobytes() for row in np.asarray(jnp.concatenate([first, second]))}) == 8
    np.testing.assert_array_equal(functions.evaluate(variables, (X[:4],)), np.ones((4, 40)))
    fitted = js.fit(
        Ones(), (X, Y), loss=lambda outputs, y: outputs.mean(axis=1), optimizer=js.SGD(0.0),
        batch_size=30, epochs=2, evaluate_every=1 / 3,
    )  # fmt: skip
    assert len(set(losses(fitted))) == len(fitted.rows) > 3
    assert np.mean(losses(fitted)) == pytest.approx(1.0, abs=0.05)
    assert {row.test_loss for row in fitted.rows} == {1.0}
