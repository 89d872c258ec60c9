"""Optimizer chains against numbers recorded from torch, float64 references and Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

# One update an epoch, so that schedules in epochs and in updates have the same clock.
PLAN = js.Plan((js.Phase(epochs=100, batch_size=10),), num_examples=10)


def descend(optimizer, gradients, w=1.0):
    """The weight after each update, and the hyper-parameters that each one reports."""
    tx = optimizer.transformation(PLAN)
    w = jnp.float32(w)
    state, weights, reports = tx.init(w), [], []
    update = jax.jit(tx.update)
    for gradient in gradients:
        updates, state = update(jnp.float32(gradient), state, w)
        w = optax.apply_updates(w, updates)
        weights.append(float(w))
        reports.append({name: float(value) for name, value in js.hyperparams(state).items()})
    return weights, reports


DROP = js.MultiStep(0.1, milestones=(3,), factor=0.1)

# Recorded from torch 2.13: torch.optim.SGD on w = 1 with gradient 1, the lr set before each step.
TORCH = [
    (js.SGD(DROP, momentum=0.9), [0.9, 0.71, 0.439, 0.40461, 0.36366, 0.31680]),
    (js.SGD(DROP, momentum=0.9, nesterov=True), [0.81, 0.539, 0.1951, 0.15415]),
    (js.SGD(0.1, momentum=0.9, weight_decay=0.1), [0.89, 0.6821, 0.38817]),
]


@pytest.mark.parametrize(("optimizer", "weights"), TORCH, ids=["momentum", "nesterov", "l2"])
def test_sgd_equals_recorded_torch(optimizer, weights):
    ours, _ = descend(optimizer, [1.0] * len(weights))
    np.testing.assert_allclose(ours, weights, atol=6e-6)


# By hand: w = 1, gradient 1, lr 0.1, weight decay 0.1, momentum 0.9.
COUPLINGS = {
    "l2": [0.89, 0.6821, 0.38817],
    "times_lr": [0.89, 0.6911, 0.41319],
    "independent": [0.8, 0.53, 0.206],
}


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_coupling_of_weight_decay_and_learning_rate(coupling):
    optimizer = js.SGD(0.1, momentum=0.9, weight_decay=0.1, coupling=coupling)
    ours, _ = descend(optimizer, [1.0] * 3)
    np.testing.assert_allclose(ours, COUPLINGS[coupling], atol=1e-5)


@pytest.mark.parametrize("optimizer", [js.SGD, js.Adam, js.AdamW])
def test_a_decay_of_kernels_spares_biases_scales_and_embeddings(optimizer):
    """Without a gradient only the decay moves weights: w = 1 becomes 1 − lr · wd."""
    shapes = {
        "embed": {"embedding": (4, 2)},
        "attention": {"kernel": (2, 2, 1), "bias": (2, 1)},  # one bias a head
        "norm": {"scale": (2,)},
        "embedding": {"kernel": (2, 2)},  # a kernel, whatever its layer is called
    }
    params = jax.tree.map(jnp.ones, shapes, is_leaf=lambda node: isinstance(node, tuple))
    spec = optimizer(0.5, weight_decay=0.5, coupling="independent", decay_mask="kernels")
    tx = spec.transformation(PLAN)
    updates, state = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    moved = {
        jax.tree_util.keystr(path, simple=True, separator="/"): float(leaf.ravel()[0])
        for path, leaf in jax.tree.leaves_with_path(updates)
        if jnp.any(leaf != 0)
    }
    assert moved == {"attention/kernel": -0.5, "embedding/kernel": -0.5}
    assert float(js.hyperparams(state)["weight_decay"]) == 0.5


def test_a_decay_of_kernels_knows_the_names_of_flax_nnx():
    from flax import nnx

    tx = js.SGD(0.5, weight_decay=0.5, decay_mask="kernels").transformation(PLAN)
    for layer, moves in (
        (nnx.Embed(4, 2, rngs=nnx.Rngs(0)), 0),
        (nnx.Conv(1, 2, 3, rngs=nnx.Rngs(0)), 1),
    ):
        params = nnx.state(layer, nnx.Param)
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        assert sum(bool(leaf.any()) for leaf in jax.tree.leaves(updates)) == moves


def test_all_three_schedules_against_float64():
    lr = js.OneCycle(0.2, duration=20)
    momentum = lr.momentum(0.95, 0.8)
    weight_decay = js.Cosine(0.05, duration=20)
    gradients = np.random.default_rng(0).normal(size=20)
    ours, reports = descend(js.SGD(lr, momentum, weight_decay), gradients)
    w, trace, expected = 1.0, 0.0, []
    for t, gradient in enumerate(gradients):
        trace = float(momentum(t)) * trace + gradient + float(weight_decay(t)) * w
        w -= float(lr(t)) * trace
        expected.append(w)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    for t, report in enumerate(reports):  # the values that this update used
        assert report == {
            "learning_rate": pytest.approx(float(lr(t)), rel=1e-6),
            "momentum": pytest.approx(float(momentum(t)), rel=1e-6),
            "weight_decay": pytest.approx(float(weight_decay(t)), rel=1e-6),
        }


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (js.Adam(lr=DROP), optax.adam(DROP)),
        (js.AdamW(lr=DROP, weight_decay=0.1), optax.adamw(DROP, weight_decay=0.1)),
        (js.FromOptax(optax.lion, {"learning_rate": DROP, "b1": 0.8}), optax.lion(DROP, b1=0.8)),
    ],
    ids=["adam", "adamw", "from_optax"],
)
def test_adam_and_friends_equal_optax(ours, theirs):
    gradients = np.random.default_rng(1).normal(size=6)
    weights, _ = descend(ours, gradients)
    w, expected = jnp.float32(1.0), []
    state = theirs.init(w)
    for gradient in gradients:
        updates, state = theirs.update(jnp.float32(gradient), state, w)
        w = optax.apply_updates(w, updates)
        expected.append(float(w))
    # With a traced b2, 1 - b2 is computed in float32; Optax computes it in float64.
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_names_in_the_chain_are_api():
    state = js.SGD(0.1, momentum=0.9, weight_decay=1e-4).transformation(PLAN).init(jnp.zeros(()))
    assert list(state) == ["weight_decay", "momentum", "learning_rate"]
    state = js.AdamW(0.1).transformation(PLAN).init(jnp.zeros(()))
    assert list(state) == ["moments", "weight_decay", "learning_rate"]


def test_vanilla_sgd_keeps_no_buffer():
    state = js.SGD(0.1).transformation(PLAN).init(jnp.zeros((1000,)))
    assert all(leaf.size == 1 for leaf in jax.tree.leaves(state))


DTYPES = ["bfloat16", "float16", "float32", "complex64", "float64", "complex128"]
# Every hyper-parameter has a schedule, or its link.
BUSY = {
    "sgd": js.SGD(DROP, js.Linear(0.8, 0.9, 10), js.Cosine(0.1, 10), nesterov=True),
    "rescaled": js.SGD(DROP, js.Linear(0.8, 0.9, 10), nesterov=True, rescale_velocity=True),
    "decoupled": js.SGD(DROP, momentum=0.9, weight_decay=0.1, coupling="independent"),
    "adamw": js.AdamW(DROP, b1=js.Linear(0.8, 0.9, 10)),
    "lion": js.FromOptax(optax.lion, {"learning_rate": DROP, "b2": 0.95}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUSY)
def test_updates_and_state_keep_their_dtypes(name):
    """`lax.scan` refuses a state whose dtypes change, and the strict rules any mixture."""
    tx = BUSY[name].transformation(PLAN)
    for dtype in DTYPES:
        with jax.enable_x64(dtype in DTYPES[-2:]), jax.numpy_dtype_promotion("strict"):
            w = {"a": jnp.ones(2, dtype), "b": jnp.ones((), dtype)}
            state, updates = jax.lax.scan(
                lambda state, w: tx.update(w, state, w)[::-1],
                tx.init(w),
                jax.tree.map(lambda w: jnp.stack([w, w]), w),
            )
            assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(dtype)}
            report = js.hyperparams(state)
            assert {value.dtype for value in report.values()} == {jnp.dtype(jnp.float32)}
            assert float(report["learning_rate"]) == np.float32(0.1)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (js.SGD(0.1, momentum=0.9), optax.sgd(0.1, momentum=0.9)),
        (js.AdamW(0.1, weight_decay=0.1), optax.adamw(0.1, weight_decay=0.1)),
    ],
    ids=["sgd", "adamw"],
)
def test_a_bfloat16_run_is_like_optax_in_float32(ours, theirs):
    """Up to bfloat16's three digits, in one program and without a larger state."""
    tx = ours.transformation(PLAN)
    gradients = np.random.default_rng(2).normal(size=(5, 100))
    w = jnp.ones(100, jnp.bfloat16)
    exact = jnp.ones(100, jnp.float32)
    state, expected = tx.init(w), theirs.init(exact)
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    update, reference = jax.jit(tx.update), jax.jit(theirs.update)
    for g in gradients:
        updates, state = update(jnp.asarray(g, w.dtype), state, w)
        w = optax.apply_updates(w, updates)
        updates, expected = reference(jnp.asarray(g, jnp.float32), expected, exact)
        exact = optax.apply_updates(exact, updates)
    np.testing.assert_allclose(np.float32(w), exact, atol=0.03)
    assert update._cache_size() == 1
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(state)) == num_bytes


@pytest.mark.parametrize("name", BUSY)
def test_odd_leaves_are_what_optax_makes_of_them(name):
    """Leaves that are no arrays, whole numbers, and None where nothing is trained."""
    tx, theirs = BUSY[name].transformation(PLAN), optax.sgd(0.1, momentum=0.9)
    params = {"int": jnp.int32(3), "float": 1.0, "wide": np.ones(2), "none": None}
    update = jax.jit(tx.update)
    updates, state = update(params, tx.init(params), params)
    updates, state = update(updates, state, params)
    expected, _ = theirs.update(params, theirs.init(params), params)
    assert [u.dtype for u in jax.tree.leaves(updates)] == [
        u.dtype for u in jax.tree.leaves(expected)
    ]


def test_a_key_in_the_state_passes():
    arguments = {"learning_rate": 0.5, "eta": 0.0, "key": jax.random.key(0)}
    tx = js.FromOptax(optax.noisy_sgd, arguments).transformation(PLAN)
    updates, _ = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)))
    np.testing.assert_array_equal(updates, [-0.5, -0.5])


def test_layers_of_flax_nnx_are_trained_and_their_hyperparams_read():
    from flax import nnx

    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    before = np.asarray(model.kernel[...])
    optimizer = nnx.Optimizer(model, js.SGD(0.5).transformation(PLAN), wrt=nnx.Param)
    gradients = nnx.grad(lambda model: model(jnp.ones((1, 2))).sum())(model)
    optimizer.update(model, gradients)
    np.testing.assert_allclose(model.kernel[...], before - 0.5, rtol=1e-6)
    for state in (optimizer, optimizer.opt_state):
        assert {name: float(value) for name, value in js.hyperparams(state).items()} == {
            "learning_rate": 0.5
        }


def test_only_gradients_of_inexact_leaves_are_given_as_equinox_does():
    tx = js.SGD(0.5, momentum=0.9).transformation(PLAN)
    model = {"w": jnp.ones(2), "activation": None, "key": None}  # eqx.filter(model, is_inexact)
    updates, _ = jax.jit(tx.update)(model, tx.init(model), model)
    assert updates["activation"] is None
    np.testing.assert_allclose(updates["w"], [-0.5, -0.5])


def test_hyperparams_found_in_a_nested_chain_and_refused_when_ambiguous():
    inner = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    nested = optax.chain(optax.clip(1.0), optax.chain(optax.identity(), inner))
    report = js.hyperparams(nested.init(jnp.zeros(())))
    assert float(report["learning_rate"]) == np.float32(0.1)
    with pytest.raises(ValueError, match="'learning_rate' twice"):
        js.hyperparams(optax.chain(inner, inner).init(jnp.zeros(())))


def test_hyperparams_of_groups_are_by_label():
    head, body = js.SGD(0.5, abel=js.Abel()), js.SGD(js.Cosine(0.25, 10), momentum=0.75)
    transformations = {
        "head": head.transformation(PLAN),
        "body": body.transformation(PLAN),
        "frozen": optax.set_to_zero(),
    }
    params = {"head": jnp.ones(2), "body": jnp.ones(3), "frozen": jnp.ones(1)}
    state = optax.partition(transformations, {name: name for name in params}).init(params)
    assert js.hyperparams(state) == {
        "head": {"learning_rate": 0.5, "abel_scale": 1.0},
        "body": {"learning_rate": 0.25, "momentum": 0.75},
    }
    # Beside what is frozen, one group has no need of its label.
    labels = {"head": "head", "body": "frozen", "frozen": "frozen"}
    transformations.pop("body")
    state = optax.partition(transformations, labels).init(params)
    assert js.hyperparams(state) == {"learning_rate": 0.5, "abel_scale": 1.0}


@pytest.mark.parametrize(
    "tx",
    [
        optax.sgd(0.1),
        optax.chain(optax.clip(1.0), js.average_params(js.every(1))),
        optax.partition({"a": optax.sgd(0.1)}, "a"),
    ],
)
def test_hyperparams_that_are_not_in_the_state_are_not_silently_none(tx):
    with pytest.raises(ValueError, match=r"without any; build the optimizer by"):
        js.hyperparams(tx.init(jnp.zeros(())))


def test_a_setting_may_be_a_number_or_any_function_of_epochs():
    schedules = js.SGD(lambda epoch: 1 / (1 + epoch), momentum=0.9).schedules()
    assert schedules["momentum"] == js.Constant(0.9)
    assert float(schedules["lr"](3)) == 0.25
    # Numbers of NumPy and JAX are Python's, whose digests records have.
    assert js.SGD(np.float32(0.5), jnp.float32(0.25)) == js.SGD(0.5, 0.25)


def test_times_with_a_unit_are_resolved_in_the_chain():
    _, reports = descend(js.SGD(js.MultiStep(1.0, ("2%",))), [0.0] * 4)
    assert [report["learning_rate"] for report in reports] == pytest.approx([1, 1, 0.1, 0.1])


NONSENSE = [
    (lambda: js.SGD(-0.1), "SGD needs lr to be finite and at least 0, got -0.1"),
    (lambda: js.SGD(float("nan")), "SGD needs lr to be a finite number, .* got nan"),
    (lambda: js.AdamW(float("inf")), "AdamW needs lr to be a finite number, .* got inf"),
    (lambda: js.SGD(js.Constant(-0.1)), "SGD needs lr to be finite and at least 0, got -0.1"),
    (lambda: js.SGD(0.1, momentum=1), "SGD needs momentum to be from 0 to below 1, got 1"),
    (lambda: js.SGD(0.1, momentum=-0.1), "SGD needs momentum to be from 0 to below 1, got -0.1"),
    (lambda: js.SGD(0.1, weight_decay=-1e-4), "SGD needs weight_decay to be finite and at least 0"),
    (lambda: js.Adam(0.1, b1=1.0), "Adam needs b1 to be from 0 to below 1, got 1.0"),
    (lambda: js.AdamW(0.1, b2=-0.5), "AdamW needs b2 to be from 0 to below 1, got -0.5"),
    (lambda: js.Adam(0.1, eps=0.0), "Adam needs eps above 0, got 0.0"),
    (lambda: js.Adam(0.1, eps=float("nan")), "Adam needs eps to be a finite number, got nan"),
    (lambda: js.Adam(0.1, eps="small"), "Adam needs eps to be a finite number, got 'small'"),
    (lambda: js.SGD("fast"), "SGD needs lr to be a finite number, a schedule or a"),
    (lambda: js.SGD(None), "SGD needs lr to be a finite number, a schedule or a"),
    (lambda: js.SGD(True), "SGD needs lr to be a finite number, a schedule or a"),
    (lambda: js.SGD([0.1]), "SGD needs lr to be a finite number, a schedule or a"),
    (lambda: js.SGD(jnp.ones(2)), "SGD needs lr to be a finite number, a schedule or a"),
    (lambda: js.SGD(js.Cosine), "SGD needs lr to be a finite number, a schedule or a"),
    (lambda: js.SGD(0.1, nesterov="yes"), "SGD needs nesterov to be True or False, got 'yes'"),
    (lambda: js.SGD(0.1, coupling="L2"), "SGD needs coupling to be one of .* got 'L2'"),
    (lambda: js.SGD(0.1, abel=True), "SGD needs abel to be None or of the class Abel, got True|"
     "SGD needs abel to be of the class Abel or None, got True"),
    (lambda: js.FromOptax("adam"), "FromOptax needs a factory such as optax.lion"),
    (lambda: js.FromOptax(optax.lion, [0.1]), "FromOptax needs a factory such as optax.lion"),
    (lambda: js.FromOptax(optax.lion, {"lr": 0.1}), "FromOptax needs a factory .* argument"),
    (lambda: js.FromOptax(optax.lion, {"learning_rate": -0.1}), "FromOptax needs learning_rate to"),
    (lambda: js.FromOptax(optax.lion, {"learning_rate": np.float32(-1)}), "needs learning_rate to"),
    (lambda: js.FromOptax(optax.lion, {"learning_rate": "fast"}), "needs learning_rate to be a"),
    (lambda: js.FromOptax(optax.sgd, {"learning_rate": 0.1, "momentum": float("nan")}), "momentum"),
    (lambda: js.FromOptax(optax.lars, {"learning_rate": 0.1, "eps": float("nan")}), "eps"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), NONSENSE)
def test_nonsense_is_refused_by_name_when_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


RUN = js.Plan((js.Phase(epochs=10, batch_size=10),), num_examples=100)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (js.SGD(js.Linear(-0.1, 0.0, 9)), "SGD needs lr .*, got -0.1 at epoch 0 from Linear"),
        (js.SGD(js.Linear(0.1, -0.1, "100%")), "SGD needs lr to be finite and at least 0 in the"),
        (js.SGD(lambda epoch: 0.1 - epoch), "SGD needs lr .* from Function"),
        (js.SGD(0.1, js.Linear(0.9, 1.1, 10)), "SGD needs momentum to be from 0 to 1 in the"),
        (js.SGD(0.1, weight_decay=js.Linear(0, -1, 10)), "SGD needs weight_decay"),
        (js.AdamW(0.1, b1=js.Linear(0.9, 1.0, 9)), "AdamW needs b1 to be from 0 to below 1 in"),
        (js.FromOptax(optax.lion, {"learning_rate": js.Linear(-1, 0, 9)}), "FromOptax needs learn"),
    ],
)
def test_a_schedule_that_leaves_its_range_is_refused_before_the_run(optimizer, message):
    with pytest.raises(ValueError, match=message):
        optimizer.transformation(RUN)


@pytest.mark.parametrize(
    "optimizer",
    [
        js.SGD(js.Linear(0.1, 0.0, 10), js.Linear(0.7, 1.0, 9), weight_decay=0),
        js.SGD(0, 0, 0),
        js.SGD(js.Product((js.Constant(-1.0), js.Constant(-0.1)))),
        js.Adam(js.OneCycle(0.1, "100%"), b1=0, b2=0),
        js.FromOptax(optax.lars, {"learning_rate": lambda step: 0.1, "eps": 0.0}),
        js.FromOptax(optax.clip_by_global_norm, {"max_norm": float("inf")}),
        js.FromOptax(optax.adafactor, {"learning_rate": None}),
    ],
)
def test_odd_numbers_with_a_sense_are_taken(optimizer):
    optimizer.transformation(RUN).init(jnp.ones(2))


def test_traced_numbers_are_taken_and_their_schedules_not_looked_at():
    @jax.jit
    def first_update(peak, momentum):
        tx = js.SGD(js.Cosine(peak, 10), momentum).transformation(RUN)
        return tx.update(jnp.float32(1.0), tx.init(jnp.float32(0.0)))[0]

    assert float(first_update(0.5, 0.9)) == -0.5
