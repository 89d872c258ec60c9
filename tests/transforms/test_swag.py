"""swag against float64 moments of the iterates, its samples against the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxsched as js

ALWAYS = lambda step: True  # noqa: E731
NAMES = ("bias", "kernel", "scalar")


def draw_params(dtype=jnp.float32):
    rng = np.random.default_rng(1)
    return {
        "kernel": jnp.asarray(rng.normal(size=(2, 3)), dtype),
        "bias": jnp.ones((2,), dtype),
        "scalar": jnp.ones((), dtype),
    }


def train(tx, w, num_updates):
    """Parameters after each update of a noisy quadratic, and the last state."""
    rng = np.random.default_rng(0)
    state, iterates = tx.init(w), []
    update = jax.jit(tx.update)
    for _ in range(num_updates):
        gradients = jax.tree.map(
            lambda p: (p + jnp.asarray(rng.normal(size=p.shape), p.dtype)).astype(p.dtype), w
        )
        updates, state = update(gradients, state, w)
        w = optax.apply_updates(w, updates)
        iterates.append(w)
    return iterates, state


def sgd_with_swag(at=ALWAYS, **options):
    return optax.chain(optax.sgd(0.1, momentum=0.9), js.swag(at, **options))


def flat(w, names=NAMES, columns=()):
    """The parameters as one float64 vector, or a matrix with the columns' axis first."""
    return np.concatenate([np.asarray(w[n], np.float64).reshape(*columns, -1) for n in names], -1)


def closed_form(samples, rank):
    """Mean, variance and the last deviations, float64, by their definition."""
    means = [samples[: n + 1].mean(axis=0) for n in range(len(samples))]
    deviations = (samples - np.stack(means))[-rank:]
    return means[-1], samples.var(axis=0), deviations


def closed_covariance(samples, rank):
    _, variance, deviations = closed_form(samples, rank)
    return (np.diag(variance) + deviations.T @ deviations / (len(deviations) - 1)) / 2


AT = {
    "fewer than rank": (lambda step: js.every(7)(step + 1), range(6, 25, 7)),
    "as many as rank": (lambda step: (step >= 3) & (step < 8), range(3, 8)),
    "many more": (lambda step: step >= 2, range(2, 25)),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("at", AT)
def test_moments_are_those_of_the_iterates(at, dtype):
    predicate, collected = AT[at]
    iterates, state = train(sgd_with_swag(predicate, rank=5), draw_params(dtype), 25)
    samples = np.stack([flat(iterates[i]) for i in collected])
    mean, variance, deviations = closed_form(samples, rank=5)
    swag = state[-1]
    assert {x.dtype for x in jax.tree.leaves(swag[1:])} == {jnp.dtype(jnp.float32)}
    np.testing.assert_allclose(flat(swag.average.mean), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flat(swag.variance), variance, rtol=1e-5, atol=1e-6)
    # Compared as D Dᵀ, which does not depend on the order in the ring buffer.
    held = flat(swag.deviations, columns=(5,))
    np.testing.assert_allclose(held.T @ held, deviations.T @ deviations, rtol=1e-5, atol=1e-5)
    assert np.count_nonzero(held.any(axis=1)) == np.count_nonzero(deviations.any(axis=1))


@pytest.mark.parametrize("at", AT)
def test_mean_is_the_one_of_average_params(at):
    predicate, _ = AT[at]
    swa = optax.chain(optax.sgd(0.1, momentum=0.9), js.average_params(predicate))
    means = []
    for tx in (swa, sgd_with_swag(predicate)):
        iterates, state = train(tx, draw_params(), 25)
        means.append(js.averaged_params(state, iterates[-1]))
    jax.tree.map(np.testing.assert_array_equal, *means)


@pytest.mark.slow
@pytest.mark.parametrize(("num_updates", "scale"), [(3, 1.0), (12, 0.5)])
def test_draws_are_gaussian_with_the_covariance_of_the_formula(num_updates, scale):
    """Within 5 standard errors, across leaves too; with 3 collected the ring is not full."""
    num_draws = 20_000
    iterates, state = train(sgd_with_swag(rank=5), draw_params(), num_updates)
    samples = np.stack([flat(w) for w in iterates])
    keys = jax.random.split(jax.random.key(0), num_draws)
    draw = jax.vmap(lambda key: js.sample_swag(state, iterates[-1], key, scale=scale))
    draws = flat(jax.jit(draw)(keys), columns=(num_draws,))

    expected = scale**2 * closed_covariance(samples, rank=5)
    variances = np.diag(expected)
    standard_error = np.sqrt((np.outer(variances, variances) + expected**2) / num_draws)
    assert np.all(np.abs(np.cov(draws.T) - expected) < 5 * standard_error)
    # If each leaf had its own z₂, bias and kernel would be uncorrelated.
    assert np.any(np.abs(expected[:2, 2:8]) > 10 * standard_error[:2, 2:8])

    off = draws - samples.mean(axis=0)
    assert np.all(np.abs(off.mean(axis=0)) < 5 * np.sqrt(variances / num_draws))
    kurtosis = (off**4).mean(axis=0) / variances**2
    np.testing.assert_allclose(kurtosis, 3, atol=5 * np.sqrt(96 / num_draws))


def test_spread_far_below_the_mean_keeps_its_digits():
    """Mean of squares − square of mean in float32 is off by several times this variance, 1e-4."""
    tx = js.swag(ALWAYS, rank=20)
    values = np.random.default_rng(2).normal(100.0, 1e-2, size=2000).astype(np.float32)

    def step(state, value):
        return tx.update(jnp.zeros(()), state, value)[1], None

    state, _ = jax.lax.scan(step, tx.init(jnp.zeros(())), jnp.asarray(values))
    _, variance, deviations = closed_form(values.astype(np.float64), rank=20)
    assert float(state.variance) == pytest.approx(variance, rel=1e-4)
    # 2000 is a whole number of rounds, so the ring is in order; float32 is 4e-6 apart at 100.
    np.testing.assert_allclose(state.deviations, deviations, atol=2e-5)


def test_constant_parameters_have_no_spread_and_no_negative_variance():
    tx = js.swag(ALWAYS, rank=3)
    w = jnp.asarray(np.random.default_rng(3).normal(size=100), jnp.float32)
    state = tx.init(w)
    update = jax.jit(tx.update)
    for _ in range(50):
        _, state = update(jnp.zeros_like(w), state, w)
    np.testing.assert_array_equal(state.variance, 0)
    np.testing.assert_array_equal(js.sample_swag(state, w, jax.random.key(0)), w)


def test_draws_keep_the_dtypes_of_the_parameters():
    params = draw_params(jnp.bfloat16) | {"scalar": jnp.ones(())}
    iterates, state = train(sgd_with_swag(), params, 5)
    draw = jax.jit(js.sample_swag)(state, iterates[-1], jax.random.key(0))
    assert {n: w.dtype for n, w in draw.items()} == {n: w.dtype for n, w in params.items()}


@pytest.mark.parametrize("num_collected", [0, 1, 2])
def test_spread_begins_with_the_second_collected(num_collected):
    """Before it: the parameters, then the only collected ones; under jit, without NaN."""
    tx = sgd_with_swag(lambda step: step < num_collected)
    iterates, state = train(tx, draw_params(), 4)
    draw = jax.jit(js.sample_swag)(state, iterates[-1], jax.random.key(0))
    if num_collected < 2:
        jax.tree.map(np.testing.assert_array_equal, draw, iterates[num_collected - 1])
    else:
        assert np.all(np.isfinite(flat(draw)))
        assert np.all(flat(draw) != flat(js.averaged_params(state, iterates[-1])))


def test_scale_zero_gives_the_mean_and_a_key_always_the_same():
    iterates, state = train(sgd_with_swag(), draw_params(), 6)
    mean = js.averaged_params(state, iterates[-1])
    draws = [
        js.sample_swag(state, iterates[-1], jax.random.key(seed), scale=scale)
        for seed, scale in ((0, 0.0), (1, 1.0), (1, 1.0), (2, 1.0))
    ]
    jax.tree.map(np.testing.assert_array_equal, draws[0], mean)
    jax.tree.map(np.testing.assert_array_equal, draws[1], draws[2])
    assert np.all(flat(draws[1]) != flat(draws[3]))


def test_masked_parameters_are_returned_as_they_are():
    mask = {"kernel": True, "bias": False, "scalar": True}
    tx = optax.chain(optax.sgd(0.1), optax.masked(js.swag(ALWAYS), mask))
    iterates, state = train(tx, draw_params(), 6)
    draw = js.sample_swag(state, iterates[-1], jax.random.key(0))
    np.testing.assert_array_equal(draw["bias"], iterates[-1]["bias"])
    assert np.all(np.asarray(draw["kernel"]) != np.asarray(iterates[-1]["kernel"]))


def test_ensemble_of_runs_under_vmap():
    """Multi-SWAG: one call with a run and a sample per member equals separate calls."""
    tx = sgd_with_swag(lambda step: step >= 1, rank=3)

    def run(w, key):
        state = tx.init(w)
        for _ in range(4):
            updates, state = tx.update(w, state, w)
            w = optax.apply_updates(w, updates)
        return js.sample_swag(state, w, key)

    members = jnp.asarray(np.random.default_rng(4).normal(size=(3, 7)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.jit(jax.vmap(run))(members, keys)
    alone = jnp.stack([jax.jit(run)(w, key) for w, key in zip(members, keys, strict=True)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_needs_memory_for_rank_and_two_copies_of_the_parameters():
    """The compiled step with donation has these copies among its arguments and no others."""
    w = jnp.ones((1024, 64))

    def compiled_memory(tx):
        def step(w, state):
            updates, state = tx.update(jnp.sin(w), state, w)
            return optax.apply_updates(w, updates), state

        compiled = jax.jit(step, donate_argnums=(0, 1)).lower(w, tx.init(w)).compile()
        return compiled.memory_analysis()

    bare = compiled_memory(optax.sgd(0.1, momentum=0.9))
    ours = compiled_memory(sgd_with_swag(js.every(10), rank=5))
    scalars = 1024  # bytes; a copy has 256 times as many
    added = ours.argument_size_in_bytes - bare.argument_size_in_bytes
    assert 0 <= added - 7 * w.nbytes <= scalars
    assert ours.temp_size_in_bytes <= bare.temp_size_in_bytes + scalars
    assert ours.output_size_in_bytes - ours.alias_size_in_bytes <= scalars


@pytest.mark.slow
def test_complex_parameter_is_drawn_as_two_real_ones():
    """With the covariance of its real and imaginary part, within 5 standard errors."""
    num_draws, rng = 20_000, np.random.default_rng(5)
    samples = rng.normal(size=(6, 2)).astype(np.float32) * [1.0, 3.0] + rng.normal(size=(6, 1))
    tx = js.swag(ALWAYS, rank=4)
    state = tx.init(jnp.complex64(0))
    for real, imaginary in samples:
        w = jnp.complex64(complex(real, imaginary))
        _, state = tx.update(jnp.zeros_like(w), state, w)
    keys = jax.random.split(jax.random.key(0), num_draws)
    draws = np.asarray(jax.vmap(lambda key: js.sample_swag(state, w, key))(keys))
    expected = closed_covariance(samples, rank=4)
    variances = np.diag(expected)
    standard_error = np.sqrt((np.outer(variances, variances) + expected**2) / num_draws)
    found = np.cov([draws.real, draws.imag])
    assert np.all(np.abs(found - expected) < 5 * standard_error)
    assert abs(expected[0, 1]) > 10 * standard_error[0, 1]
    off = np.array([draws.real.mean(), draws.imag.mean()]) - samples.mean(axis=0)
    assert np.all(np.abs(off) < 5 * np.sqrt(variances / num_draws))


@pytest.mark.slow
def test_deviations_lie_where_the_sharded_parameters_lie():
    """Each of four devices holds a quarter of all 20, and none holds more."""
    mesh = Mesh(np.array(jax.devices()[:4]), ("rows",))
    w = jax.device_put(jnp.ones((1024, 8)), NamedSharding(mesh, P("rows")))
    tx = js.swag(ALWAYS, rank=20)
    state = tx.init(w)
    _, after = jax.jit(tx.update)(w, state, w)
    draw = js.sample_swag(after, w, jax.random.key(0))
    for deviations in (state.deviations, after.deviations):
        shards = deviations.addressable_shards
        assert [shard.data.shape for shard in shards] == [(20, 256, 8)] * 4
    for copy in (after.average.mean, after.variance, draw):
        assert copy.sharding.is_equivalent_to(w.sharding, 2)


def test_none_and_two_are_refused():
    w, key = draw_params(), jax.random.key(0)
    with pytest.raises(ValueError, match=r"got 0; add swag\(at\)"):
        js.sample_swag(js.average_params(ALWAYS).init(w), w, key)
    two = optax.chain(js.swag(ALWAYS), js.swag(ALWAYS)).init(w)
    with pytest.raises(ValueError, match="got 2"):
        js.sample_swag(two, w, key)
    # A swag contains an average, so with average_params there are two.
    both = optax.chain(js.average_params(ALWAYS), js.swag(ALWAYS)).init(w)
    with pytest.raises(ValueError, match="got 2"):
        js.averaged_params(both, w)
    js.sample_swag(both, w, key)


@pytest.mark.parametrize("rank", [1, 0, -1, 2.5, 20.0])
def test_rank_out_of_range_is_refused(rank):
    with pytest.raises(ValueError, match=f"int of at least 2, got rank={rank}"):
        js.swag(ALWAYS, rank=rank)


def test_traced_rank_is_refused_and_static_rank_works_under_inject_hyperparams():
    w = jnp.ones(3)
    with pytest.raises(ValueError, match="name it in static_args"):
        optax.inject_hyperparams(js.swag, static_args=("at",))(at=ALWAYS).init(w)
    tx = optax.inject_hyperparams(js.swag, static_args=("at", "rank"))(at=ALWAYS, rank=3)
    _, state = tx.update(jnp.ones(3), tx.init(w), w)
    np.testing.assert_array_equal(js.sample_swag(state, w, jax.random.key(0)), 2 * w)


def test_wrong_at_scale_and_missing_params_are_refused():
    with pytest.raises(ValueError, match=r"swag needs at .* jaxsched\.every\(5\)"):
        js.swag(5)
    w = jnp.ones(())
    tx = js.swag(ALWAYS)
    with pytest.raises(ValueError, match=r"swag needs .* tx\.update\(updates, state, params\)"):
        tx.update(w, tx.init(w))
    with pytest.raises(ValueError, match="scale of at least 0, got scale=-1"):
        js.sample_swag(tx.init(w), w, jax.random.key(0), scale=-1)
