"""The range test of a user's step against a loop by hand, and the user's state after it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

X = np.random.default_rng(0).normal(size=(400, 16, 4)).astype(np.float32)
Y = X @ np.array([1.0, -2.0, 0.5, 3.0], np.float32)
BATCHES = [{"x": x, "y": y} for x, y in zip(X, Y, strict=True)]


def step(state, batch, lr):
    """Plain gradient descent on a mean of squares, its gradient by hand."""
    error = batch["x"] @ state["w"] - batch["y"]
    gradient = 2 * batch["x"].T @ error / len(error)
    return {"w": state["w"] - lr * gradient}, jnp.mean(error**2)


def by_hand(values):
    """The same in float64, without JAX."""
    w, losses = np.zeros(4), []
    for value, batch in zip(values, BATCHES, strict=False):
        x, y = (np.asarray(batch[name], np.float64) for name in "xy")
        error = x @ w - y
        losses.append(np.mean(error**2))
        w = w - value * 2 * x.T @ error / len(error)
    return np.array(losses)


def start():
    return {"w": jnp.zeros(4)}


@pytest.mark.parametrize(("scale", "low"), [("log", 1e-4), ("linear", 0.0)])
def test_losses_are_those_of_a_loop_by_hand(scale, low):
    curve = js.range_test(step, start(), BATCHES, low=low, high=0.3, num_updates=130, scale=scale)
    spaced = np.geomspace if scale == "log" else np.linspace
    assert curve.values == pytest.approx(spaced(low, 0.3, 130), rel=1e-6)
    assert curve.losses == pytest.approx(by_hand(curve.values), rel=2e-4, abs=1e-7)
    assert curve.axis == scale and curve.accuracies is None


def test_momentum_is_raised_by_the_same_function():
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.01, momentum=0.0)

    def momentum_step(state, batch, momentum):
        params, opt_state = state
        loss, gradient = jax.value_and_grad(lambda w: jnp.mean((batch["x"] @ w - batch["y"]) ** 2))(
            params
        )
        opt_state.hyperparams["momentum"] = momentum
        updates, opt_state = tx.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state), loss

    params = jnp.zeros(4)
    curve = js.range_test(
        momentum_step,
        (params, tx.init(params)),
        BATCHES,
        low=0.7,
        high=0.99,
        num_updates=60,
        scale="linear",
        stop_factor=float("inf"),
    )
    w, velocity, losses = np.zeros(4), np.zeros(4), []
    for momentum, batch in zip(curve.values, BATCHES, strict=False):
        error = batch["x"] @ w - batch["y"]
        losses.append(np.mean(error**2))
        velocity = 2 * batch["x"].T @ error / len(error) + momentum * velocity
        w = w - 0.01 * velocity
    assert curve.losses == pytest.approx(losses, rel=1e-3, abs=1e-6)


def test_accuracies_are_kept_beside_the_losses():
    def with_accuracy(state, batch, lr):
        state, loss = step(state, batch, lr)
        return state, (loss, jnp.exp(-loss))

    curve = js.range_test(with_accuracy, start(), BATCHES, high=0.1, num_updates=40)
    assert curve.accuracies == pytest.approx(np.exp(-curve.losses), rel=1e-5)


def test_the_step_is_traced_once_and_the_users_state_survives():
    traces = 0

    def counting(state, batch, lr):
        nonlocal traces
        traces += 1
        new, loss = step(state, batch, lr)
        # Weakly typed Python numbers must not make a second program.
        return {"w": new["w"], "count": state["count"] + 1, "key": state["key"]}, loss

    state = {"w": np.zeros(4, np.float32), "count": 0, "key": jax.random.key(0)}
    theirs = jax.tree.map(jnp.asarray, state)
    curve = js.range_test(counting, theirs, BATCHES, high=0.1, num_updates=120)
    assert traces == 1 and len(curve.losses) == 120
    assert theirs["w"].tolist() == [0, 0, 0, 0] and int(theirs["count"]) == 0
    js.range_test(counting, state, BATCHES, high=0.1, num_updates=30)
    assert traces == 2 and state["count"] == 0


def test_a_diverging_run_stops_and_its_end_is_where_the_rule_says():
    taken = 0

    def counted():
        nonlocal taken
        for batch in BATCHES:
            taken += 1
            yield batch

    curve = js.range_test(step, start(), counted(), low=1e-3, high=1e4, num_updates=400)
    assert len(curve.losses) - 1 == curve.diverged_at < 300
    # No further than to the next look, every 50 updates.
    assert taken == -(-len(curve.losses) // 50) * 50
    longer = js.range_test(
        step, start(), BATCHES, low=1e-3, high=1e4, num_updates=400, stop_factor=float("inf")
    )
    assert len(longer.losses) > len(curve.losses)
    assert np.isfinite(longer.losses[:-1]).all() and not np.isfinite(longer.losses[-1])


def descent_of_a_noisy_slope(scale, offset):
    """A loss that falls for ever, such as an unbounded log-likelihood, with noise of 1/8."""

    def step(state, batch, lr):
        return state - lr, scale * (state + batch.mean()) + offset

    batches = np.random.default_rng(5).normal(size=(200, 64)).astype(np.float32)
    return step, jnp.float32(0), batches


def test_a_falling_loss_is_followed_to_the_end_wherever_it_starts():
    """Near 0, a rule of ratios stops this run after 13 updates."""
    for offset in (0, 5, -5):
        curve = js.range_test(*descent_of_a_noisy_slope(1, offset), high=1.0)
        assert len(curve.losses) == 200 and curve.diverged_at is None
        suggestions = js.suggest(curve)
        assert suggestions.maximum is None
        assert "highest learning rate, 1, for 1 of 1 seeds: raise high" in str(suggestions)


def test_a_factor_of_infinity_switches_the_rule_off_for_the_suggestions_too():
    def spike(state, batch, lr):
        """Falls for ever, but for ten updates that a run of another kind would not survive."""
        count, w = state
        return (count + 1, w - lr), w + batch.mean() + 300 * ((count >= 60) & (count < 70))

    _, _, batches = descent_of_a_noisy_slope(1, 0)
    state = (jnp.int32(0), jnp.float32(0))
    stopped = js.range_test(spike, state, batches, high=1.0)
    assert stopped.diverged_at == len(stopped.losses) - 1 == 64
    whole = js.range_test(spike, state, batches, high=1.0, stop_factor=float("inf"))
    assert len(whole.losses) == 200 and whole.diverged_at is None
    assert js.suggest(whole).maximum is None and "raise high" in str(js.suggest(whole))


def test_the_stop_does_not_depend_on_the_unit_or_the_zero_of_the_loss():
    def moved(scale, offset):
        def in_other_units(state, batch, lr):
            state, loss = step(state, batch, lr)
            return state, scale * loss + offset

        return js.range_test(in_other_units, start(), BATCHES, low=1e-3, high=1e4, num_updates=400)

    reference = moved(1, 0)
    assert reference.diverged_at == len(reference.losses) - 1 < 300
    for scale, offset in ((1, -100), (0.125, -2.5), (1024, 1e6)):
        curve = moved(scale, offset)
        assert curve.diverged_at == reference.diverged_at == len(curve.losses) - 1


def test_too_few_batches_are_refused_and_a_cycle_of_them_is_not():
    with pytest.raises(ValueError, match=r"needs 100 batches, one an update, got 30; .*cycle"):
        js.range_test(step, start(), BATCHES[:30], high=0.1, num_updates=100)
    curve = js.range_test(step, start(), itertools.cycle(BATCHES[:30]), high=0.1, num_updates=100)
    assert len(curve.losses) == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.0}, "low above 0 on the log scale, got 0.0"),
        ({"low": -1.0, "scale": "linear"}, "low of at least 0, got -1.0"),
        ({"low": 1.0, "high": 1.0}, "finite high above low, got low=1.0, high=1.0"),
        ({"high": float("inf")}, "finite high above low"),
        ({"num_updates": 19}, "at least 20 updates, got num_updates=19"),
        ({"scale": "cubic"}, "'log' or 'linear', got 'cubic'"),
        ({"stop_factor": 1.0}, "factor above 1, got 1.0"),
    ],
)
def test_ranges_that_cannot_be_run_are_refused_before_anything_is_traced(arguments, message):
    def untouched(state, batch, value):
        raise AssertionError("traced")

    with pytest.raises(ValueError, match=message):
        js.range_test(untouched, start(), BATCHES, **arguments)


def wide(state, batch, lr):
    return {"w": jnp.zeros(5)}, jnp.float32(0)


def other_tree(state, batch, lr):
    return state["w"], jnp.float32(0)


def per_example(state, batch, lr):
    return state, batch["y"]


def loss_alone(state, batch, lr):
    return jnp.float32(0)


def not_finite(state, batch, lr):
    return state, jnp.float32(jnp.nan)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (wide, r"state\['w'\] as float32\[5\] after float32\[4\]"),
        (other_tree, "one structure throughout, got state as"),
        (per_example, r"loss is a scalar.*got shapes \[\(16,\)\]; take the batch's mean"),
        (loss_alone, r"returns \(state, loss\) or"),
        (not_finite, "finite first loss, got nan at the lowest value, 1e-05: lower low"),
    ],
)
def test_wrong_steps_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        js.range_test(wrong, start(), BATCHES)


def test_a_batch_of_another_shape_is_refused():
    ragged = [*BATCHES[:29], {"x": X[0, :7], "y": Y[0, :7]}]
    with pytest.raises(
        ValueError, match=r"batch 30\['x'\] as float32\[7, 4\] after float32\[16, 4\]"
    ):
        js.range_test(step, start(), ragged, num_updates=30)
