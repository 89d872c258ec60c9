"""estimate_noise against populations of known G and Σ, and its means against float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

FLOAT32_MAX = float(np.finfo(np.float32).max)


def observation(gradients, small_batch_size):
    """Mean gradient and extra arguments of updates whose examples' gradients are [..., B, d]."""
    *draws, batch_size, size = gradients.shape
    small = gradients.reshape(*draws, -1, small_batch_size, size).mean(axis=-2)
    mean_gradient = jnp.asarray(small.mean(axis=-2), jnp.float32)
    squared_norm = jnp.asarray(np.square(small).sum(axis=-1).mean(axis=-1), jnp.float32)
    sizes = {"small_batch_size": small_batch_size, "batch_size": batch_size}
    return mean_gradient, squared_norm, sizes


def estimates(gradients, small_batch_size):
    """|G|² and tr Σ estimated from each of many updates alone, float64[draws]."""
    tx = js.estimate_noise(decay=0)
    mean_gradients, squared_norms, sizes = observation(gradients, small_batch_size)

    def estimate(updates, squared_norm):
        _, state = tx.update(updates, tx.init(updates), small_squared_norm=squared_norm, **sizes)
        return js.gradient_noise(state)

    found = jax.jit(jax.vmap(estimate))(mean_gradients, squared_norms)
    return np.float64(found.squared_norm), np.float64(found.variance)


def regression_gradients():
    """The gradients (xᵀw − y) x of five examples of a linear regression, float64[5, 3]."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)), rng.normal(size=3)
    y = x @ rng.normal(size=3) + rng.normal(size=5)
    return (x @ w - y)[:, None] * x


@pytest.mark.parametrize(("small_batch_size", "batch_size"), [(1, 2), (1, 4), (2, 4)])
def test_both_estimates_are_unbiased_over_all_batches_of_a_regression(small_batch_size, batch_size):
    """Exact: the mean over every batch that can be drawn with replacement."""
    gradients = regression_gradients()
    batches = np.array(list(itertools.product(range(5), repeat=batch_size)))
    squared_norm, variance = estimates(gradients[batches], small_batch_size)
    mean = gradients.mean(axis=0)
    assert squared_norm.mean() == pytest.approx(mean @ mean, rel=1e-5)
    assert variance.mean() == pytest.approx(gradients.var(axis=0).sum(), rel=1e-5)


@pytest.mark.parametrize("batch_size", [4, 5])
def test_without_replacement_it_is_the_noise_of_what_the_examples_were_drawn_from(batch_size):
    """Then tr Σ is divided by N − 1, and |G|² has no noise of the data set itself."""
    gradients = regression_gradients()
    batches = np.array(list(itertools.permutations(range(5), batch_size)))
    squared_norm, variance = estimates(gradients[batches], 1)
    mean, sample_variance = gradients.mean(axis=0), gradients.var(axis=0, ddof=1).sum()
    assert variance.mean() == pytest.approx(sample_variance, rel=1e-5)
    assert squared_norm.mean() == pytest.approx(mean @ mean - sample_variance / 5, rel=1e-5)


def test_both_parts_are_those_of_gaussian_gradients():
    """Within 4 small standard errors; the raw |G_B|² is off by more than 20."""
    rng = np.random.default_rng(1)
    mean, std = np.array([0.3, -0.2, 0.1, 0.0]), np.array([1.0, 0.5, 2.0, 0.1])
    true_norm, true_variance = mean @ mean, np.square(std).sum()
    gradients = mean + std * rng.normal(size=(20_000, 16, 4))

    def errors(values, truth):
        """How many standard errors the mean is off."""
        return (values.mean() - truth) / (values.std() / np.sqrt(len(values)))

    squared_norm, variance = estimates(gradients, 4)
    assert abs(errors(squared_norm, true_norm)) < 4
    assert abs(errors(variance, true_variance)) < 4
    assert errors(np.square(gradients.mean(axis=1)).sum(axis=1), true_norm) > 20
    # A running mean is as precise as a plain mean of (1 + decay) / (1 − decay) updates.
    state = run(js.estimate_noise(0.9998), gradients, 4)
    relative = (js.gradient_noise(state).scale / (true_variance / true_norm)).item() - 1
    deviations = variance / true_variance - squared_norm / true_norm
    assert abs(relative) < 4 * deviations.std() * np.sqrt(0.0002 / 1.9998) < 0.2


def run(tx, gradients, small_batch_size):
    """Returns the state after a run."""
    mean_gradients, squared_norms, sizes = observation(gradients, small_batch_size)

    def step(state, inputs):
        updates, squared_norm = inputs
        _, state = tx.update(updates, state, small_squared_norm=squared_norm, **sizes)
        return state, None

    inputs = (mean_gradients, squared_norms)
    return jax.jit(lambda: jax.lax.scan(step, tx.init(None), inputs)[0])()


def reference(observations, decay):
    """scale, |G|² and tr Σ after each update, by the paper's formulas in Python floats."""
    squared_norm, variance, n, found = 0.0, 0.0, 0, []
    for big_norm, small_norm, b, B in observations:
        norm_here = (B * big_norm - b * small_norm) / (B - b)
        variance_here = (small_norm - big_norm) / (1 / b - 1 / B)
        if abs(norm_here) < FLOAT32_MAX and abs(variance_here) < FLOAT32_MAX:  # and not NaN
            n += 1
            squared_norm = decay * squared_norm + (1 - decay) * norm_here
            variance = decay * variance + (1 - decay) * variance_here
        unbiased = 1 - decay**n
        found.append([variance / squared_norm, squared_norm / unbiased, variance / unbiased])
    return np.array(found)


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.95, 0.9999])
def test_means_are_those_of_float64_while_the_batch_grows_and_norms_overflow(decay):
    rng = np.random.default_rng(2)
    sizes = [(4, 8)] * 10 + [(4, 32)] * 10 + [(16, 256)] * 10
    observations = [
        (5 + 40 / B + rng.uniform(), 5 + 40 / b + 2 * rng.uniform(), b, B) for b, B in sizes
    ]
    observations[7] = (observations[7][0], np.inf, 4, 8)
    observations[13] = (np.inf, np.inf, 4, 32)
    observations[16] = (3.3e38, 3e38, 4, 8)  # where the estimate of |G|² alone is 3.6e38
    observations[23] = (np.nan, np.nan, 16, 256)
    tx = js.estimate_noise(decay)

    @jax.jit
    def step(state, big_norm, small_norm, b, B):
        # Two leaves with this squared norm in all; that of `b` is 257/256, 1 in bfloat16.
        updates = {
            "w": jnp.sqrt(big_norm - 257 / 256)[None],
            "b": jnp.full((257,), 1 / 16, jnp.bfloat16),
        }
        _, state = tx.update(
            updates, state, small_squared_norm=small_norm, small_batch_size=b, batch_size=B
        )
        return state, js.gradient_noise(state)

    state, found = tx.init(None), []
    for big_norm, *others in observations:
        state, noise = step(state, jnp.float32(big_norm), *others)
        found.append(noise)
    np.testing.assert_allclose(found, reference(observations, decay), rtol=2e-5)
    assert step._cache_size() == 1
    assert int(state.count) == len(observations) - 4


def test_growing_the_batch_changes_nothing_without_chance():
    """|G_B|² is |G|² + tr Σ / B for every B, so updates of all sizes give one estimate."""
    tx = js.estimate_noise(0.9)
    state = tx.init(None)
    for b, B in [(1, 2), (8, 64), (64, 128), (64, 65_536)]:
        gradient = jnp.sqrt(jnp.float32(2 + 300 / B))
        _, state = tx.update(
            gradient, state, small_squared_norm=2 + 300 / b, small_batch_size=b, batch_size=B
        )
        np.testing.assert_allclose(js.gradient_noise(state), (150, 2, 300), rtol=1e-4)


@pytest.mark.parametrize(
    ("squared_norm", "small_squared_norm", "scale"),
    [
        (1.0, 4.0, np.inf),  # |G|² = −2, tr Σ = 6
        (1.0, 2.0, np.inf),  # |G|² = 0, tr Σ = 2
        (2.0, 1.0, 0.0),  # |G|² = 3, tr Σ = −2
        (1.0, 1.0, 0.0),
        (0.0, 0.0, np.nan),
    ],
)
def test_a_scale_is_never_negative(squared_norm, small_squared_norm, scale):
    tx = js.estimate_noise()
    _, state = jax.jit(tx.update)(
        jnp.sqrt(squared_norm),
        tx.init(None),
        small_squared_norm=small_squared_norm,
        small_batch_size=1,
        batch_size=2,
    )
    noise = js.gradient_noise(state)
    assert float(noise.scale) == pytest.approx(scale, nan_ok=True)
    parts = (2 * squared_norm - small_squared_norm, 2 * (small_squared_norm - squared_norm))
    np.testing.assert_allclose(noise[1:], parts, rtol=1e-5, atol=1e-6)


def test_before_the_first_estimate_and_of_one_small_batch_it_is_nan():
    tx = js.estimate_noise()
    state = tx.init(None)
    assert np.isnan(jax.jit(js.gradient_noise)(state)).all()
    # Traced, equal sizes are no error.
    _, state = jax.jit(tx.update)(
        jnp.ones(()), state, small_squared_norm=1.5, small_batch_size=8, batch_size=8
    )
    assert np.isnan(js.gradient_noise(state)).all()
    assert int(state.count) == 0


def test_a_chain_of_an_experiment_sees_the_raw_gradient():
    """It comes before weight decay and momentum, so they do not change the estimate."""
    plan = js.Plan((js.Phase(1, 16),), num_examples=160)
    optimizer = js.SGD(0.1, momentum=0.9, weight_decay=1.0, noise=js.NoiseEstimate(0.8))
    gradients = np.random.default_rng(3).normal(1, 1, size=(10, 16, 4))
    mean_gradients, squared_norms, sizes = observation(gradients, 4)

    def train(tx):
        @jax.jit
        def step(w, state, updates, squared_norm):
            updates, state = tx.update(updates, state, w, small_squared_norm=squared_norm, **sizes)
            return optax.apply_updates(w, updates), state

        w = jnp.full(4, 100.0)
        state = tx.init(w)
        for inputs in zip(mean_gradients, squared_norms, strict=True):
            w, state = step(w, state, *inputs)
        return w, state

    w, state = train(optimizer.transformation(plan))
    expected = js.gradient_noise(run(js.estimate_noise(0.8), gradients, 4))
    np.testing.assert_allclose(js.gradient_noise({"optimizer": (state,)}), expected, rtol=1e-6)
    without = js.SGD(0.1, momentum=0.9, weight_decay=1.0).transformation(plan)
    np.testing.assert_array_equal(w, train(without)[0])


def test_devices_are_the_small_batches_of_a_data_parallel_step():
    """Each device's gradient is that of a small batch; their mean is that of the update."""
    gradients = jnp.asarray(np.random.default_rng(4).normal(1, 1, size=(4, 8, 3)), jnp.float32)
    tx = js.estimate_noise()

    def replica(examples):
        gradient = examples.mean(axis=0)
        squared_norm = jax.lax.pmean(jnp.square(gradient).sum(), "batch")
        updates = jax.lax.pmean(gradient, "batch")
        sizes = {"small_batch_size": 8, "batch_size": 8 * jax.lax.axis_size("batch")}
        _, state = tx.update(updates, tx.init(updates), small_squared_norm=squared_norm, **sizes)
        return js.gradient_noise(state)

    found = jax.pmap(replica, axis_name="batch")(gradients)
    squared_norm, variance = estimates(gradients.reshape(1, 32, 3), 8)
    np.testing.assert_allclose(found.squared_norm, np.repeat(squared_norm, 4), rtol=1e-5)
    np.testing.assert_allclose(found.variance, np.repeat(variance, 4), rtol=1e-5)


def update_with(**arguments):
    tx = js.estimate_noise()
    given = {"small_squared_norm": 2.0, "small_batch_size": 8, "batch_size": 16} | arguments
    given = {name: value for name, value in given.items() if value is not None}
    return tx.update(jnp.ones(3), tx.init(None), **given)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"small_squared_norm": None}, TypeError, r"\['small_squared_norm'\]; call tx.update\("),
        (
            {"batch_size": None, "small_batch_size": None},
            TypeError,
            r"\['small_batch_size', 'batch_size'\]",
        ),
        (
            {"small_squared_norm": jnp.ones(4)},
            ValueError,
            r"shape \(4,\); small batches have one size",
        ),
        ({"batch_size": np.array([16])}, ValueError, r"batch_size to be a scalar.*shape \(1,\)"),
        ({"batch_size": 8}, ValueError, "got batch_size=8 and .*; make an update of two small"),
        ({"batch_size": jnp.int32(4)}, ValueError, "got batch_size=4 and small_batch_size=8"),
        ({"small_batch_size": 0}, ValueError, "of at least 1, got .*small_batch_size=0"),
    ],
)
def test_what_no_update_can_be_is_refused_with_the_fix(arguments, error, message):
    with pytest.raises(error, match=message):
        update_with(**arguments)


@pytest.mark.parametrize("decay", [1.0, -0.1, 20, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=f"decay from 0 to below 1, got decay={decay};"):
        js.estimate_noise(decay)


def test_a_decay_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"estimate_noise needs decay to be a number, got Linear"):
        js.estimate_noise(js.Linear(0.9, 0.99, 100))


@pytest.mark.parametrize("num_found", [0, 2])
def test_no_estimate_or_two_of_them_are_refused(num_found):
    state = optax.chain(optax.identity(), *[js.estimate_noise()] * num_found).init(jnp.ones(3))
    with pytest.raises(ValueError, match=f"one estimate_noise in it, got {num_found}; add"):
        js.gradient_noise(state)
