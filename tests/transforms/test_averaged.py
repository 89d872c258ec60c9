"""averaged_params and sample_swag read any state: NNX, groups, masks; and refuse a wrong place."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from flax.core import meta
from jax.sharding import PartitionSpec as P

import jaxsched as js

ALWAYS = lambda step: True  # noqa: E731
KEY = jax.random.key(0)


def average():
    return js.average_params(ALWAYS)


def draw_params():
    rng = np.random.default_rng(1)
    return {"kernel": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32), "bias": jnp.ones((4,))}


def train(tx, w, num_updates=3):
    """The parameters after each update along themselves, and the last state."""
    state, iterates = tx.init(w), []
    for _ in range(num_updates):
        updates, state = tx.update(w, state, w)
        w = optax.apply_updates(w, updates)
        iterates.append(w)
    return iterates, state


def mean_of(iterates):
    return jax.tree.map(lambda *ws: np.mean([np.asarray(w, np.float64) for w in ws], 0), *iterates)


def assert_close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), ours, theirs)


def nnx_run(tx, num_updates=2):
    """A model and its optimizer after updates, and the kernels after each."""
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer, kernels = nnx.Optimizer(model, tx, wrt=nnx.Param), []
    for _ in range(num_updates):
        gradient = nnx.grad(lambda model: jnp.mean(model(jnp.ones((4, 2))) ** 2))(model)
        optimizer.update(model, gradient)
        kernels.append(np.asarray(model.kernel[...]))
    return model, optimizer, kernels


def test_state_of_an_nnx_optimizer_is_read_with_variables_and_without():
    tx = optax.chain(optax.sgd(0.1), js.scale_by_abel(0.5, js.every(1)), js.swag(ALWAYS, rank=2))
    model, optimizer, kernels = nnx_run(tx)
    state, params = optimizer.opt_state, nnx.state(model, nnx.Param)
    for opt_state in (state, nnx.as_pure(state)):
        for w in (params, nnx.as_pure(params)):
            mean = js.averaged_params(opt_state, w)
            assert jax.tree.structure(mean) == jax.tree.structure(w)
            kernel = jax.tree.leaves(mean)[1]
            np.testing.assert_allclose(kernel, np.mean(kernels, axis=0), rtol=1e-5)
    samples = [
        js.sample_swag(state, params, KEY),
        js.sample_swag(nnx.as_pure(state), nnx.as_pure(params), KEY),
    ]
    jax.tree.map(np.testing.assert_array_equal, *map(jax.tree.leaves, samples))
    nnx.update(model, js.averaged_params(state, params))  # what one does with it
    np.testing.assert_allclose(model.kernel[...], np.mean(kernels, axis=0), rtol=1e-5)


def test_masked_state_of_an_nnx_optimizer_is_read():
    def kernels_only(params):
        return jax.tree.map(lambda w: w.ndim > 1, params)

    model, optimizer, kernels = nnx_run(
        optax.chain(optax.sgd(0.1), optax.masked(average(), kernels_only))
    )
    for w in (nnx.state(model, nnx.Param), nnx.as_pure(nnx.state(model, nnx.Param))):
        bias, kernel = jax.tree.leaves(js.averaged_params(optimizer.opt_state, w))
        np.testing.assert_array_equal(bias, model.bias[...])
        np.testing.assert_allclose(kernel, np.mean(kernels, axis=0), rtol=1e-5)


def test_noise_of_an_nnx_optimizer_is_read():
    noise = js.estimate_noise()
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.chain(noise, optax.sgd(0.1)), wrt=nnx.Param)
    gradient = nnx.grad(lambda model: jnp.sum(model(jnp.ones((1, 2)))))(model)
    # |G|² of the mean is 9: 6 kernels and 3 biases with the gradient 1.
    optimizer.update(model, gradient, small_squared_norm=12.0, small_batch_size=16, batch_size=32)
    assert float(js.gradient_noise(optimizer.opt_state).scale) == pytest.approx(32 * 3 / 6)


def test_averages_of_groups_make_one_tree():
    tx = optax.partition(
        {
            "kernel": optax.chain(optax.sgd(0.1), average()),
            "bias": optax.chain(optax.sgd(0.3), js.average_params(lambda step: step >= 1)),
        },
        {"kernel": "kernel", "bias": "bias"},
    )
    iterates, state = train(tx, draw_params())
    mean = js.averaged_params(state, iterates[-1])
    assert_close(mean["kernel"], mean_of(iterates)["kernel"])
    assert_close(mean["bias"], mean_of(iterates[1:])["bias"])


def test_group_without_an_average_and_label_without_parameters():
    tx = optax.partition(
        {
            "averaged": optax.chain(
                optax.sgd(0.1), js.scale_by_abel(0.5, js.every(1)), js.swag(ALWAYS, rank=2)
            ),
            "plain": optax.sgd(0.1),
            "nobody": optax.chain(js.scale_by_abel(0.5, js.every(1)), js.swag(ALWAYS, rank=2)),
        },
        {"kernel": "averaged", "bias": "plain"},
    )
    iterates, state = train(tx, draw_params())
    mean = js.averaged_params(state, iterates[-1])
    assert_close(mean, {"kernel": mean_of(iterates)["kernel"], "bias": iterates[-1]["bias"]})
    draw = js.sample_swag(state, iterates[-1], KEY)
    np.testing.assert_array_equal(draw["bias"], iterates[-1]["bias"])
    assert np.all(np.asarray(draw["kernel"]) != np.asarray(mean["kernel"]))


def test_freezing_all_leaves_nothing_to_average():
    tx = optax.selective_transform(
        optax.chain(optax.sgd(0.1), js.scale_by_abel(0.5, js.every(1)), average()),
        freeze_mask=True,
    )
    iterates, state = train(tx, draw_params())
    jax.tree.map(
        np.testing.assert_array_equal, js.averaged_params(state, iterates[-1]), draw_params()
    )


@pytest.mark.slow
def test_groups_of_swag_are_drawn_independently_with_their_own_spread():
    groups = {name: optax.chain(optax.sgd(0.1), js.swag(ALWAYS, rank=3)) for name in "ab"}
    w = {"a": jnp.float32(1.0), "b": jnp.float32(-2.0)}
    iterates, state = train(optax.partition(groups, {"a": "a", "b": "b"}), w, 4)
    draws = jax.vmap(lambda key: js.sample_swag(state, iterates[-1], key))(
        jax.random.split(KEY, 20_000)
    )
    covariance = np.cov([draws["a"], draws["b"]])
    for i, name in enumerate("ab"):
        values = np.array([w[name] for w in iterates])
        means = np.cumsum(values) / np.arange(1, 5)
        expected = (values.var() + ((values - means)[-3:] ** 2).sum() / 2) / 2
        assert covariance[i, i] == pytest.approx(expected, rel=0.05)
    # One spread for both would correlate them: they shrink together.
    assert abs(covariance[0, 1]) < 5 * np.sqrt(covariance[0, 0] * covariance[1, 1] / 20_000)


def changing_links():
    return {
        "momentum and learning rate": optax.sgd(0.1, momentum=0.9),
        "learning rate": optax.sgd(0.1),
        "scale": optax.scale(-0.1),
        "clip": optax.clip(1.0),
        "weight decay": optax.add_decayed_weights(1e-4),
        "abel": js.scale_by_abel(0.5, js.every(1)),
        "injected": optax.inject_hyperparams(optax.sgd)(learning_rate=0.1),
        "masked": optax.masked(optax.set_to_zero(), {"kernel": True, "bias": False}),
        "chain": optax.chain(js.estimate_noise(), optax.scale(0.5)),
        "groups": optax.partition({"x": optax.sgd(0.1)}, {"kernel": "x", "bias": "x"}),
    }


@pytest.mark.parametrize("after", changing_links())
@pytest.mark.parametrize("kind", ["average", "swag"])
def test_average_before_what_changes_the_updates_is_refused(kind, after):
    first = average() if kind == "average" else js.swag(ALWAYS)
    link, w = changing_links()[after], draw_params()
    for tx in (
        optax.chain(first, link),
        optax.named_chain(("z", optax.chain(optax.clip(1.0), first)), ("a", link)),
        optax.MultiSteps(optax.chain(optax.masked(first, True), optax.chain(link)), 2),
    ):
        if after == "masked" and isinstance(tx, optax.MultiSteps):
            continue  # two masks may be of different parameters
        state = jax.jit(tx.init)(w)
        with pytest.raises(ValueError, match=r"averaged_params needs an average that is the last"):
            js.averaged_params(state, w)
        if kind == "swag":
            with pytest.raises(ValueError, match=r"sample_swag needs an average that is the last"):
                js.sample_swag(state, w, KEY)


def test_the_part_of_a_state_is_read_wherever_it_stood():
    tx = optax.chain(average(), optax.scale(1.0))
    iterates, state = train(tx, draw_params(), 2)
    assert_close(js.averaged_params(state[0], draw_params()), mean_of(iterates))


def wrapped_in_a_tuple(tx):
    """Someone's wrapper whose state is a tuple, but not that of a chain."""

    def update(updates, state, params=None):
        updates, inner = tx.update(updates, state[0], params)
        return updates, (inner, state[1] + 1)

    return optax.GradientTransformation(lambda params: (tx.init(params), jnp.zeros(())), update)


def right_chains():
    sgd, mask = optax.sgd(0.1), {"kernel": True, "bias": False}
    other = {"kernel": False, "bias": True}
    last = optax.chain(sgd, average())
    groups = {"x": last, "y": optax.chain(sgd, js.scale_by_abel(0.5, js.every(1)))}

    def factory(learning_rate):
        return optax.chain(optax.sgd(learning_rate), average())

    return {
        "with a noise estimate after it": optax.chain(last, js.estimate_noise()),
        "with a monitor after it": optax.chain(last, optax.snapshot("norm", optax.tree.norm)),
        "with an empty group after it": optax.chain(last, optax.masked(js.estimate_noise(), mask)),
        "named": optax.named_chain(("z", sgd), ("a", average())),
        "injected": optax.inject_hyperparams(factory)(learning_rate=0.1),
        "if finite": optax.apply_if_finite(last, 3),
        "MultiSteps": optax.MultiSteps(last, 1),
        "conditionally": optax.conditionally_transform(last, lambda step: step >= 0),
        "one mask after another": optax.chain(
            optax.masked(last, mask), optax.masked(optax.sgd(0.2), other)
        ),
        "in a tuple with an array": wrapped_in_a_tuple(last),
        "groups": optax.chain(
            optax.clip(9.0), optax.partition(groups, {"kernel": "x", "bias": "y"})
        ),
    }


@pytest.mark.parametrize("where", right_chains())
def test_average_that_is_last_for_its_parameters_is_read(where):
    tx, w = right_chains()[where], draw_params()
    state, iterates = tx.init(w), []
    noise = {"small_squared_norm": 1.0, "small_batch_size": 1, "batch_size": 2}
    extra = noise if "noise" in where or "empty" in where else {}
    for _ in range(3):
        updates, state = tx.update(w, state, w, **extra)
        w = optax.apply_updates(w, updates)
        iterates.append(w)
    mean, expected = js.averaged_params(state, w), mean_of(iterates)
    assert_close(mean["kernel"], expected["kernel"])
    assert_close(mean["bias"], w["bias"] if where[:6] in ("one ma", "groups") else expected["bias"])


def test_sgds_average_in_first_place_was_no_average_of_weights():
    """The reason to refuse it: all weights are 1 or less, and the mean is far above."""
    tx, w = optax.chain(average(), optax.sgd(0.1)), jnp.float32(1.0)
    iterates, state = train(tx, w)
    assert max(float(w) for w in iterates) < 1
    assert float(js.averaged_params(state[0], w)) > 1.5


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_mean_that_is_not_finite_is_said(bad):
    w = draw_params()
    tx = js.swag(ALWAYS, rank=2)
    broken = {"kernel": w["kernel"].at[1, 2].set(bad), "bias": w["bias"]}
    _, state = tx.update(jax.tree.map(jnp.zeros_like, w), tx.init(w), broken)
    with pytest.warns(UserWarning, match=r"averaged_params .* at \['kernel'\].*apply_if_finite"):
        js.averaged_params(state, w)
    with pytest.warns(UserWarning, match="sample_swag found a mean that is not finite"):
        js.sample_swag(state, w, KEY)
    jax.jit(js.averaged_params)(state, w)  # a traced mean cannot be looked at
    # Neither weights that are not averaged nor a mean of nothing are a fault of the mean.
    js.averaged_params(tx.init(w), broken)


def test_parameters_of_another_tree_are_refused():
    state = average().init(draw_params())
    for other in ({"weight": jnp.ones(3)}, {"kernel": jnp.ones((3, 4))}):
        with pytest.raises(ValueError, match="got 1 arrays where the state has 2"):
            js.averaged_params(state, other)
    # As many, which would be broadcast in their order.
    with pytest.raises(ValueError, match=r"got \(3, 4\) at \['a'\] where the state has \(4,\)"):
        js.averaged_params(state, {"a": jnp.ones((3, 4)), "b": jnp.ones(4)})


def test_module_with_functions_is_read_whole():
    """As Equinox has it: trained are the arrays of a module, filtered, with None for the rest."""
    w = draw_params()
    filtered = {"layer": w, "activation": None}
    iterates, state = train(optax.chain(optax.sgd(0.1), average()), filtered)
    module = {"layer": iterates[-1]["layer"], "activation": jax.nn.relu}
    mean = js.averaged_params(state, module)
    assert mean["activation"] is jax.nn.relu
    assert_close(mean["layer"], mean_of([w["layer"] for w in iterates]))


def test_boxes_are_told_of_the_axis_of_the_deviations():
    w = {
        "linen": nn.Partitioned(jnp.ones((8, 2)), ("rows", None)),
        "logical": nn.LogicallyPartitioned(jnp.ones((8,)), ("embed",)),
        "plain": jnp.ones(3),
    }
    tx = optax.chain(optax.sgd(0.1), js.swag(ALWAYS, rank=2))
    state = tx.init(w)
    specs = nn.get_partition_spec(state[-1])
    assert specs.variance == {"linen": P("rows", None), "logical": P("embed"), "plain": P()}
    assert specs.deviations == {
        "linen": P(None, "rows", None), "logical": P(None, "embed"), "plain": P(),
    }  # fmt: skip
    updates, after = jax.jit(tx.update)(w, state, w)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    draw = js.sample_swag(after, optax.apply_updates(w, updates), KEY)
    assert_close(meta.unbox(draw), jax.tree.map(lambda x: 0.9 * x, meta.unbox(w)))


@pytest.mark.slow
def test_nnx_variables_are_told_of_the_axis_of_the_deviations():
    """An optimizer under a mesh lays its variables out by their names as it is made."""
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh):
        kernel = nnx.with_partitioning(nnx.initializers.ones_init(), ("rows", None))
        model = nnx.Linear(8, 2, kernel_init=kernel, rngs=nnx.Rngs(0))
        optimizer = nnx.Optimizer(
            model, optax.chain(optax.sgd(0.1), js.swag(ALWAYS, rank=2)), wrt=nnx.Param
        )
        swag = optimizer.opt_state[-1]
        assert swag.variance["kernel"][...].sharding.spec == P("rows", None)
        assert swag.deviations["kernel"][...].sharding.spec == P(None, "rows", None)
        assert tuple(model.kernel.get_metadata()["out_sharding"]) == ("rows", None)
        optimizer.update(model, nnx.grad(lambda m: jnp.mean(m(jnp.ones((4, 8))) ** 2))(model))
        js.sample_swag(optimizer.opt_state, nnx.state(model, nnx.Param), KEY)
