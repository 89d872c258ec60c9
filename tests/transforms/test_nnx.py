"""All transformations in a loop of Flax NNX: the optimizer's state is used as it stands."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxsched as js

NUM_UPDATES, CYCLE = 8, 20
VALUES = (9.0, 4.0, 3.0, 5.0, 5.0, 5.0, 2.0, 1.0)
INPUTS = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
TARGETS = INPUTS[:, :3] ** 2
KEY = jax.random.key(0)


class Net(nnx.Module):
    """Layers in a list, batch norm, dropout: parameters beside other state."""

    def __init__(self, rngs):
        self.body = nnx.List([nnx.Linear(4, 6, rngs=rngs), nnx.Linear(6, 6, rngs=rngs)])
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.a_head = nnx.Linear(6, 3, rngs=rngs)  # sorts before the body, and is made after it

    def __call__(self, x):
        for layer in self.body:
            x = nnx.relu(layer(x))
        return self.a_head(self.dropout(self.norm(x)))


def chain():
    """The whole house in one chain."""
    sgd = optax.inject_hyperparams(optax.sgd)
    return optax.chain(
        js.estimate_noise(),
        sgd(learning_rate=js.Cosine(0.1, CYCLE), momentum=0.9),
        js.scale_by_abel(0.5, js.every(1), last_decay_at=6),
        js.scale_by_plateau(js.every(1), factor=0.5, patience=1),
        js.swag(js.every(2), rank=2),
    )


def pure(tree):
    return jax.tree.map(np.asarray, nnx.to_pure_dict(tree))


@pytest.fixture(scope="module")
def run(evaluations):
    """A model and its optimizer after a jitted loop; parameters and gradients of each update."""
    model = Net(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, chain(), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, value):
        def loss(model):
            return jnp.mean((model(INPUTS) - TARGETS) ** 2)

        gradients = nnx.grad(loss)(model)
        optimizer.update(model, gradients, **evaluations(value))
        return gradients

    params, gradients = [pure(nnx.state(model, nnx.Param))], []
    for value in VALUES:
        gradients.append(pure(step(model, optimizer, value)))
        params.append(pure(nnx.state(model, nnx.Param)))
    return SimpleNamespace(model=model, optimizer=optimizer, params=params, gradients=gradients)


@pytest.fixture(scope="module")
def collected(run):
    """Float64 copies of the parameters that SWAG collected: those that updates 2, 4 and 6 made."""
    return [jax.tree.map(np.float64, w) for w in run.params[3::2]]


def mean_of(trees):
    return jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *trees)


def assert_close(ours, theirs, **tolerance):
    tolerance = {"rtol": 1e-5, "atol": 1e-6} | tolerance
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


def test_state_is_that_of_the_same_chain_on_arrays(run, evaluations):
    """Each transformation does with NNX's variables what it does with arrays."""
    tx, w = chain(), run.params[0]
    state, update = tx.init(w), jax.jit(tx.update)
    for gradients, value, after in zip(run.gradients, VALUES, run.params[1:], strict=True):
        updates, state = update(gradients, state, w, **evaluations(value))
        w = optax.apply_updates(w, updates)
        assert_close(w, after)
    found = nnx.as_pure(run.optimizer.opt_state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        jax.tree.leaves(found), jax.tree.leaves(state),
    )  # fmt: skip


def test_hyperparams_are_read_inside_and_outside_of_nnx_jit(run):
    """The last update is number 7: after ABEL's last decay and plateau's one."""
    cosine = 0.1 * (1 + np.cos(np.pi * (NUM_UPDATES - 1) / CYCLE)) / 2
    norms = [sum((w.astype(float) ** 2).sum() for w in jax.tree.leaves(p)) for p in run.params]
    signs = np.sign(np.diff(norms[1:-1]))
    bounces = int((np.diff(signs) != 0).sum()) // 2  # minimum, maximum, minimum, …
    expected = {
        "learning_rate": cosine,
        "momentum": 0.9,
        "abel_scale": 0.5 ** (1 + bounces),
        "plateau_scale": 0.5,  # 3 was the best; of three times 5 the second is one too many
    }
    for found in (
        js.hyperparams(run.optimizer.opt_state),
        nnx.jit(lambda optimizer: js.hyperparams(optimizer.opt_state))(run.optimizer),
    ):
        assert found == pytest.approx(expected, rel=1e-5)


def test_noise_is_read(run):
    weights = 0.05 * 0.95 ** np.arange(NUM_UPDATES)[::-1]
    large = [sum((g.astype(float) ** 2).sum() for g in jax.tree.leaves(g)) for g in run.gradients]
    variances = (10 * np.array(VALUES) - large) / (1 / 2 - 1 / 8)
    found = js.gradient_noise(run.optimizer.opt_state)
    assert float(found.variance) == pytest.approx(weights @ variances / weights.sum(), rel=1e-4)
    assert float(found.squared_norm) == pytest.approx(
        weights @ (large - variances / 8) / weights.sum(), rel=1e-4
    )


def test_average_is_put_into_the_model_inside_nnx_jit(run, collected):
    model = nnx.clone(run.model)

    @nnx.jit
    def use_average(model, optimizer):
        nnx.update(model, js.averaged_params(optimizer.opt_state, nnx.state(model, nnx.Param)))

    use_average(model, run.optimizer)
    assert_close(pure(nnx.state(model, nnx.Param)), mean_of(collected))
    # The rest is as it was.
    others = [pure(nnx.state(m, nnx.BatchStat)) for m in (model, run.model)]
    jax.tree.map(np.testing.assert_array_equal, *others)


def forward(w, stats, x):
    """The network in NumPy, as it evaluates."""
    for i in (0, 1):
        x = np.maximum(x @ w["body"][i]["kernel"] + w["body"][i]["bias"], 0)
    x = (x - stats["norm"]["mean"]) / np.sqrt(stats["norm"]["var"] + 1e-5)
    x = x * w["norm"]["scale"] + w["norm"]["bias"]
    return x @ w["a_head"]["kernel"] + w["a_head"]["bias"]


def test_whole_module_is_read_and_stays_as_it_was(run, collected):
    stats = pure(nnx.state(run.model, nnx.BatchStat))
    averaged = js.averaged_params(run.optimizer.opt_state, run.model)
    averaged.eval()
    assert isinstance(averaged, Net)
    np.testing.assert_allclose(
        averaged(INPUTS), forward(mean_of(collected), stats, INPUTS), rtol=1e-4, atol=1e-5
    )
    now = pure(nnx.state(run.model, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, now, run.params[-1])
    assert run.model.dropout.deterministic is False


@pytest.mark.slow
def test_samples_predict_under_vmap_with_the_spread_of_the_weights(run, collected):
    graph, params, rest = nnx.split(run.model, nnx.Param, ...)

    @jax.jit
    @jax.vmap
    def predict(key):
        model = nnx.merge(graph, js.sample_swag(run.optimizer.opt_state, params, key), rest)
        model.eval()
        return model(INPUTS), model.a_head.bias[...]

    predictions, biases = predict(jax.random.split(KEY, 2000))
    assert predictions.shape == (2000, 8, 3)
    values = np.array([w["a_head"]["bias"] for w in collected])
    means = np.cumsum(values, axis=0) / np.arange(1, len(values) + 1)[:, None]
    variance = (values.var(axis=0) + ((values - means)[-2:] ** 2).sum(axis=0)) / 2
    np.testing.assert_allclose(np.var(biases, axis=0), variance, rtol=0.2)
    np.testing.assert_allclose(np.mean(biases, axis=0), values.mean(axis=0), rtol=0.02, atol=1e-3)
