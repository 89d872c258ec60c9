"""average_params against float64 means of the iterates and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js
from jaxsched.transforms import AverageParamsState

NUM_UPDATES = 60


def train(tx, w, read=js.averaged_params):
    """Parameters after each update of a noisy quadratic, and `read` of the last state."""
    rng = np.random.default_rng(0)
    state, iterates = tx.init(w), []
    update = jax.jit(tx.update)
    for _ in range(NUM_UPDATES):
        gradients = jax.tree.map(
            lambda p: (p + jnp.asarray(rng.normal(size=p.shape), p.dtype)).astype(p.dtype), w
        )
        updates, state = update(gradients, state, w)
        w = optax.apply_updates(w, updates)
        iterates.append(w)
    return iterates, read(state, w)


def sgd_with_average(at, **options):
    return optax.chain(optax.sgd(0.1, momentum=0.9), js.average_params(at, **options))


def stacked(iterates, name):
    return np.stack([np.asarray(w[name], np.float64) for w in iterates])


def draw_params(dtype=jnp.float32):
    rng = np.random.default_rng(1)
    return {"kernel": jnp.asarray(rng.normal(size=(3, 4)), dtype), "bias": jnp.ones((4,), dtype)}


AT = {
    "every update": (lambda step: True, range(NUM_UPDATES)),
    "epoch ends": (lambda step: js.every(7)(step + 1), range(6, NUM_UPDATES, 7)),
    "tail of epoch ends": (
        lambda step: (step >= 20) & js.every(7)(step + 1),
        [i for i in range(NUM_UPDATES) if i >= 20 and (i + 1) % 7 == 0],
    ),
    "one": (lambda step: step == NUM_UPDATES - 1, [NUM_UPDATES - 1]),
}


@pytest.mark.parametrize("at", AT)
def test_equal_average_is_the_mean_of_the_iterates(at):
    predicate, collected = AT[at]
    iterates, mean = train(sgd_with_average(predicate), draw_params())
    for name in mean:
        expected = stacked(iterates, name)[list(collected)].mean(axis=0)
        np.testing.assert_allclose(mean[name], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_exponential_average_against_float64(decay):
    """The second decay is never reached, because the warm-up of d is still smaller."""
    predicate, collected = AT["epoch ends"]
    iterates, mean = train(sgd_with_average(predicate, decay=decay), draw_params())
    for name in mean:
        samples = stacked(iterates, name)[list(collected)]
        expected = samples[0]
        for n, sample in enumerate(samples[1:], start=1):
            d = min(decay, (1 + n) / (10 + n))
            expected = d * expected + (1 - d) * sample
        np.testing.assert_allclose(mean[name], expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_parameters_are_averaged_in_float32():
    """A constant weight step of 2⁻⁷ from 1: the mean lies between bfloat16's numbers."""
    tx = js.average_params(lambda step: True)
    w = jnp.ones((), jnp.bfloat16)
    state = tx.init(w)
    for _ in range(4):
        updates, state = tx.update(jnp.asarray(2**-7, jnp.bfloat16), state, w)
        w = optax.apply_updates(w, updates)
    assert state.mean.dtype == jnp.float32
    assert float(state.mean) == 1 + 2.5 * 2**-7
    assert js.averaged_params(state, w).dtype == jnp.bfloat16


def test_averages_the_weights_that_bfloat16_makes():
    """An update below half a unit in the last place moves no weight, and so no mean."""
    tx = js.average_params(lambda step: True)
    w = jnp.ones((), jnp.bfloat16)
    _, state = tx.update(jnp.asarray(2**-12, jnp.bfloat16), tx.init(w), w)
    assert float(state.mean) == 1.0


@pytest.mark.parametrize("decay", [None, 0.9])
def test_needs_memory_for_one_copy_of_the_parameters(decay):
    """The compiled step with donation has one copy among its arguments and no other."""
    w = jnp.ones((1024, 64))

    def compiled_memory(tx):
        def step(w, state):
            updates, state = tx.update(jnp.sin(w), state, w)
            return optax.apply_updates(w, updates), state

        compiled = jax.jit(step, donate_argnums=(0, 1)).lower(w, tx.init(w)).compile()
        return compiled.memory_analysis()

    bare = compiled_memory(optax.sgd(0.1, momentum=0.9))
    ours = compiled_memory(sgd_with_average(js.every(10), decay=decay))
    scalars = 1024  # bytes; the copy has 256 times as many
    assert 0 <= ours.argument_size_in_bytes - bare.argument_size_in_bytes - w.nbytes <= scalars
    assert ours.temp_size_in_bytes <= bare.temp_size_in_bytes + scalars
    assert ours.output_size_in_bytes - ours.alias_size_in_bytes <= scalars


def test_mean_of_many_keeps_its_digits():
    tx = js.average_params(lambda step: True)
    values = np.random.default_rng(2).normal(loc=100.0, size=20_000).astype(np.float32)

    def step(state, value):
        return tx.update(jnp.zeros(()), state, value)[1], None

    state, _ = jax.lax.scan(step, tx.init(jnp.zeros(())), jnp.asarray(values))
    assert float(state.mean) == pytest.approx(values.astype(np.float64).mean(), rel=1e-6)


def test_slow_exponential_average_moves():
    """A decay of 0.9999 in bfloat16 is 1; by the closed form 1 − Π d over n = 1 … 200."""
    tx = js.average_params(lambda step: True, decay=0.9999)
    w = jnp.zeros((), jnp.bfloat16)
    _, state = tx.update(w, tx.init(w), w)

    def step(state, _):
        return tx.update(jnp.ones((), jnp.bfloat16), state, w)[1], None

    n = np.arange(1, 201)
    state, _ = jax.lax.scan(step, state, None, length=200)
    expected = 1 - np.prod(np.minimum(0.9999, (1 + n) / (10 + n)))
    assert float(state.mean) == pytest.approx(expected, rel=1e-5)
    # After the warm-up, k updates from 0 towards 1 reach 1 − 0.9999ᵏ.
    late = AverageParamsState(jnp.int32(0), jnp.int32(10**6), jnp.zeros(()))
    late, _ = jax.lax.scan(step, late, None, length=200)
    assert float(late.mean) == pytest.approx(1 - 0.9999**200, rel=2e-5)


def test_updates_pass_through():
    w = draw_params()
    alone, _ = train(optax.sgd(0.1, momentum=0.9), w, read=lambda state, w: None)
    averaged, _ = train(sgd_with_average(js.every(1)), w)
    jax.tree.map(np.testing.assert_array_equal, alone, averaged)


def nested_chains():
    average = js.average_params(lambda step: step >= 30)
    sgd = optax.sgd(0.1)

    def factory(learning_rate):
        return optax.chain(optax.sgd(learning_rate), average)

    return {
        "chain": optax.chain(optax.clip(10.0), optax.chain(optax.identity(), sgd, average)),
        "named": optax.named_chain(("sgd", sgd), ("average", average)),
        "injected": optax.inject_hyperparams(factory)(learning_rate=0.1),
        "injected at": optax.chain(
            sgd,
            optax.inject_hyperparams(js.average_params, static_args=("at",))(
                at=lambda step: step >= 30
            ),
        ),
        "multi_steps": optax.MultiSteps(
            optax.chain(sgd, js.average_params(lambda step: step >= 30)), every_k_schedule=1
        ),
        "masked": optax.chain(sgd, optax.masked(average, {"kernel": True, "bias": True})),
    }


@pytest.mark.parametrize("where", nested_chains())
def test_average_is_found_wherever_it_is(where):
    iterates, mean = train(nested_chains()[where], draw_params())
    for name in mean:
        np.testing.assert_allclose(mean[name], stacked(iterates, name)[30:].mean(0), rtol=1e-5)


@pytest.mark.parametrize("mask", [{"kernel": True, "bias": False}, {"kernel": False, "bias": True}])
def test_masked_parameters_are_returned_as_they_are(mask):
    tx = optax.chain(optax.sgd(0.1), optax.masked(js.average_params(lambda step: True), mask))
    iterates, mean = train(tx, draw_params())
    for name, averaged in mask.items():
        expected = stacked(iterates, name)
        expected = expected.mean(axis=0) if averaged else expected[-1]
        np.testing.assert_allclose(mean[name], expected, rtol=1e-5, atol=1e-7)


def test_parameters_while_nothing_is_averaged_also_under_jit():
    tx = sgd_with_average(lambda step: step >= NUM_UPDATES)
    iterates, mean = train(tx, draw_params(), read=jax.jit(js.averaged_params))
    jax.tree.map(np.testing.assert_array_equal, mean, iterates[-1])


def test_none_and_two_averages_are_refused():
    w = draw_params()
    with pytest.raises(ValueError, match=r"got 0; add average_params\(at\)"):
        js.averaged_params(optax.sgd(0.1).init(w), w)
    average = js.average_params(js.every(1))
    with pytest.raises(ValueError, match="got 2"):
        js.averaged_params(optax.chain(average, average).init(w), w)


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
def test_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match="decay between 0 and 1"):
        js.average_params(js.every(1), decay=decay)


@pytest.mark.parametrize("decay", ["0.9", True, np.ones(2), 0.9j])
def test_decay_that_is_no_number_is_refused(decay):
    for build in (
        lambda: js.average_params(js.every(1), decay=decay),
        lambda: js.Averaging(decay=decay),
    ):
        with pytest.raises(ValueError, match=r"needs decay to be a (finite )?number"):
            build()


def last_average(tx, values, dtype=jnp.float32):
    """The average after updates that make these parameters."""
    state, update = tx.init(jnp.zeros((), dtype)), jax.jit(tx.update)
    for value in values:
        _, state = update(jnp.zeros((), dtype), state, jnp.asarray(value, dtype))
    return state


# torch 2.14.1: AveragedModel(m, multi_avg_fn=get_ema_multi_avg_fn(decay)), whose weight is set to
# 0, 1, …, 199 with an update_parameters after each, in float64.
@pytest.mark.parametrize(("decay", "of_torch"), [(0.5, 198.0), (0.999, 18.648829478635722)])
def test_without_warm_up_it_is_torchs(decay, of_torch):
    tx = js.average_params(lambda step: True, decay=decay, warm_up=False)
    assert float(last_average(tx, range(200)).mean) == pytest.approx(of_torch, rel=1e-6)
    built = js.Averaging(start=0, every="1 update", decay=decay, warm_up=False).transformation(
        js.Plan((js.Phase(2, 1),), num_examples=200)
    )
    assert float(last_average(built, range(200)).mean) == pytest.approx(of_torch, rel=1e-6)


@pytest.mark.parametrize("warm_up", [False, True])
@pytest.mark.parametrize("how", ["given", "injected by Optax"])
def test_a_decay_may_be_a_schedule_of_updates(warm_up, how):
    schedule = js.Linear(0.1, 0.9, duration=8)
    if how == "given":
        tx = js.average_params(lambda step: step >= 2, decay=schedule, warm_up=warm_up)
    else:
        inject = optax.inject_hyperparams(js.average_params, static_args=("at", "warm_up"))
        tx = inject(at=lambda step: step >= 2, decay=schedule, warm_up=warm_up)
    values, expected = np.random.default_rng(0).normal(size=12), None
    for step, value in enumerate(values):
        d, n = 0.1 + 0.1 * min(step, 8), step - 2
        if warm_up:
            d = min(d, (1 + n) / (10 + n))
        if step >= 2:
            expected = value if n == 0 else d * expected + (1 - d) * value
    mean = js.averaged_params(last_average(tx, values), jnp.zeros(()))
    assert float(mean) == pytest.approx(expected, rel=1e-5)


def test_two_decays_in_one_chain_are_read_by_their_part_of_the_state():
    fast, slow = (js.average_params(lambda step: True, decay=d, warm_up=False) for d in (0.1, 0.9))
    tx = optax.named_chain(("sgd", optax.sgd(0.1)), ("fast", fast), ("slow", slow))
    iterates, state = train(tx, draw_params(), read=lambda state, w: state)
    for name, decay in (("fast", 0.1), ("slow", 0.9)):
        mean = js.averaged_params(state[name], iterates[-1])
        expected, *others = stacked(iterates, "kernel")
        for sample in others:
            expected = decay * expected + (1 - decay) * sample
        np.testing.assert_allclose(mean["kernel"], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r'opt_state\["slow"\]'):
        js.averaged_params(state, iterates[-1])


GOOD = np.array([[1.0, 5.0], [4.0, 2.0], [2.0, 2.0]])
SKIPPING = {
    "equal": (js.average_params, {}, GOOD.mean(0)),
    "exponential": (
        js.average_params, {"decay": 0.5, "warm_up": False}, np.array([0.25, 0.25, 0.5]) @ GOOD
    ),
    "swag": (js.swag, {"rank": 2}, GOOD.mean(0)),
}  # fmt: skip


@pytest.mark.parametrize("kind", SKIPPING)
def test_weights_that_are_not_all_finite_stay_out_if_so_wished(kind):
    make, options, expected = SKIPPING[kind]
    tx = make(lambda step: True, skip_nonfinite=True, **options)
    key = jax.random.key(0)  # is no number, so it is neither finite nor not
    state, update = tx.init({"w": jnp.zeros(2), "key": key}), jax.jit(tx.update)
    for row in ([np.nan, 1.0], GOOD[0], [1.0, np.inf], GOOD[1], GOOD[2], [-np.inf, np.nan]):
        w = {"w": jnp.asarray(row, jnp.float32), "key": key}
        _, state = update({"w": jnp.zeros(2), "key": None}, state, w)
    np.testing.assert_allclose(js.averaged_params(state, w)["w"], expected, rtol=1e-6)
    if kind == "swag":
        np.testing.assert_allclose(state.variance["w"], GOOD.var(0), rtol=1e-6)


@pytest.mark.parametrize("decay", [0.9, np.float64(0.9), np.float32(0.9), "jax"])
def test_64_bit_parameters_have_a_64_bit_exponential_average(decay):
    with jax.enable_x64(True):
        decay = jnp.float64(0.9) if decay == "jax" else decay
        tx, values = js.average_params(lambda step: True, decay=decay), 1 + 1e-9 * np.arange(100)
        mean, update = values[0], jax.jit(tx.update)
        state = tx.init(jnp.float64(1))
        for n, value in enumerate(values):
            _, state = update(jnp.float64(0), state, jnp.float64(value))
            d = min(float(decay), (1 + n) / (10 + n)) if n else 0.0
            mean = d * mean + (1 - d) * value
        assert float(js.averaged_params(state, jnp.float64(1))) == pytest.approx(
            mean, rel=0, abs=1e-14
        )


def test_64_bit_parameters_have_a_64_bit_mean():
    with jax.enable_x64(True):
        tx, values = js.average_params(lambda step: True), 1 + 1e-9 * np.arange(100)
        state = tx.init({"wide": jnp.float64(1), "narrow": jnp.float32(1)})
        update = jax.jit(tx.update)
        for value in values:
            w = {"wide": jnp.float64(value), "narrow": jnp.float32(value)}
            _, state = update(jax.tree.map(jnp.zeros_like, w), state, w)
        mean = js.averaged_params(state, w)
    assert (mean["wide"].dtype, state.mean["narrow"].dtype) == (np.float64, np.float32)
    assert float(mean["wide"]) == pytest.approx(values.mean(), rel=0, abs=1e-14)


def test_predicate_that_was_called_already_is_refused_with_the_fix():
    """optax.inject_hyperparams takes every function for a schedule, and calls it."""
    for factory in (js.average_params, js.scale_by_plateau):
        with pytest.raises(ValueError, match=r"got the bool False.* name at in static_args"):
            optax.inject_hyperparams(factory)(at=js.every(2)).init(jnp.ones(2))


def test_wrong_at_and_missing_params_are_refused():
    with pytest.raises(ValueError, match=r"jaxsched\.every\(5\)"):
        js.average_params(5)
    tx = js.average_params(js.every(1))
    with pytest.raises(ValueError, match=r"tx\.update\(updates, state, params\)"):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())))
