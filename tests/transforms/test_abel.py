"""scale_by_abel against a plain-Python algorithm 1, by hand, and on several devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxsched as js
from jaxsched.transforms import ScaleByAbelState

EVERY_UPDATE = js.every(1)


def algorithm_1(norms, decay_factor, last_decay_epoch=None):
    """The paper's pseudo-code: the learning rate after each epoch, from lr = 1 and epoch 1 on."""
    lr, reached_minimum, lrs = 1.0, False, []
    for t in range(len(norms)):
        if t >= 2 and (norms[t] - norms[t - 1]) * (norms[t - 1] - norms[t - 2]) < 0:
            if reached_minimum:
                lr *= decay_factor
                reached_minimum = False
            else:
                reached_minimum = True
        if t + 1 == last_decay_epoch:
            lr *= decay_factor
        lrs.append(lr)
    return lrs


def measure(tx, norms):
    """The states after the updates that measure these values of |w|², stacked."""
    first = jnp.sqrt(jnp.float32(norms[0]))
    _, state = tx.update(jnp.ones(()), tx.init(first), first)

    def step(state, w):
        _, state = tx.update(jnp.ones(()), state, w)
        return state, state

    return jax.lax.scan(step, state, jnp.sqrt(jnp.asarray(norms, jnp.float32)))[1]


def measure_all(tx, walks):
    """`measure` for many walks at once."""
    return jax.jit(jax.vmap(lambda norms: measure(tx, norms)))(walks)


def scales(tx, norms):
    return [float(scale) for scale in measure(tx, norms).scale]


def draw_norms(shape, seed=0):
    """Random walks of squares of whole numbers, exact in float32, with equal neighbours too."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(-2, 3, size=shape) + rng.integers(-1, 2, size=(*shape[:-1], 1))
    return np.maximum(100 + np.cumsum(steps, axis=-1), 0) ** 2


@pytest.mark.parametrize("last_decay_at", [None, 1, 17])
def test_equals_algorithm_1_on_drawn_walks(last_decay_at):
    norms = draw_norms((4000, 40))
    tx = js.scale_by_abel(0.5, EVERY_UPDATE, last_decay_at)
    ours = measure_all(tx, norms).scale
    expected = [algorithm_1(walk.tolist(), 0.5, last_decay_at) for walk in norms]
    # Powers of 0.5 are exact.
    np.testing.assert_array_equal(ours, np.array(expected, np.float32))
    assert len(np.unique(ours)) > 5


@pytest.mark.parametrize(
    ("norms", "decays"),
    [
        ([9, 4, 1, 4, 9, 4], [5]),  # down, up, down: at the first fall after the rise
        ([9, 4, 1, 4, 9, 4, 9], [5]),  # the next turn is the next minimum …
        ([9, 4, 1, 4, 9, 4, 9, 4], [5, 7]),  # … and the turn after it decays again
        ([9, 4, 4, 9, 4], []),  # equal neighbours hide a turn from the product of changes
        ([1, 4, 1, 4], [3]),  # rises first: the paper's rule decays at a minimum
        ([9, 4, 1], []),
        ([9, 4], []),
        ([9], []),
        ([4, 4, 4, 4], []),
    ],
)
def test_by_hand(norms, decays):
    expected, scale = [], 1.0
    for t in range(len(norms)):
        scale *= 0.5 if t in decays else 1
        expected.append(scale)
    assert scales(js.scale_by_abel(0.5, EVERY_UPDATE), norms) == expected


def test_jitter_decays_three_times_and_the_dead_band_stops_it():
    """Down, up, plateau with jitter of 1 in 1000, as norms in whole thousandths."""
    norms = [900, 700, 500, 400, 350, 330, 340, 380, 440, 500, 540, 560]
    jitter = [561, 560.5, 561, 560.5, 561, 560.5, 561]
    paper = measure(js.scale_by_abel(0.5, EVERY_UPDATE), norms + jitter)
    assert [int(n) for n in paper.num_decays[-7:]] == [0, 1, 1, 2, 2, 3, 3]
    calm = measure(js.scale_by_abel(0.5, EVERY_UPDATE, dead_band=0.01), norms + jitter)
    assert int(calm.num_decays[-1]) == 0
    # A true bounce after the jitter still decays, also one that drifts down within the band.
    drift = [560 * (1 - 0.004 * k) for k in range(1, 7)]
    calm = measure(js.scale_by_abel(0.5, EVERY_UPDATE, dead_band=0.01), norms + jitter + drift)
    assert int(calm.num_decays[-1]) == 1


@pytest.mark.slow
def test_guard_rising_decays_at_maxima_alone():
    """Expected: a fall after a rise, if a rise followed a fall since the last decay."""
    norms = draw_norms((1000, 40), seed=3)
    tx = js.scale_by_abel(0.5, EVERY_UPDATE, guard_rising=True)
    ours = measure_all(tx, norms).num_decays[:, -1]
    for walk, num_decays in zip(norms, ours, strict=True):
        signs = "".join("0+-"[int(s)] for s in np.sign(np.diff(walk)))
        expected, armed = 0, False
        for pair in (signs[i : i + 2] for i in range(len(signs) - 1)):
            armed |= pair == "-+"
            if pair == "+-" and armed:
                expected, armed = expected + 1, False
        assert num_decays == expected
    assert len(np.unique(ours)) > 3


def test_guard_changes_nothing_where_the_norm_falls_first():
    """If the norm also never stays the same, minima and maxima alternate."""
    rng = np.random.default_rng(4)
    moves = rng.choice([-2, -1, 1, 2], size=(500, 30))
    moves[:, 1] = -1  # the first change between measurements
    norms = (200 + np.cumsum(moves, axis=1)) ** 2
    plain, guarded = (
        measure_all(js.scale_by_abel(0.5, EVERY_UPDATE, guard_rising=guard), norms).scale
        for guard in (False, True)
    )
    np.testing.assert_array_equal(plain, guarded)
    assert float(plain.min()) < 0.1


def test_floor_holds_for_every_decay():
    norms = [9, 4, 9, 4, 9, 4, 9, 4, 9, 4]
    tx = js.scale_by_abel(0.5, EVERY_UPDATE, last_decay_at=9, floor=0.2)
    np.testing.assert_allclose(scales(tx, norms), [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2])


def test_one_vmap_sweeps_the_numbers():
    """Traced numbers work, although they cannot be checked."""
    norms = [9, 4, 9, 4, 9]

    def last_scale(decay_factor, last_decay_at):
        return measure(js.scale_by_abel(decay_factor, EVERY_UPDATE, last_decay_at), norms).scale[-1]

    ours = jax.vmap(last_scale)(jnp.array([0.5, 0.25, 0.5]), jnp.array([2, 2, 9]))
    np.testing.assert_array_equal(ours, [0.25, 0.0625, 0.5])


def test_last_decay_needs_no_measurement_and_adds_to_a_bounce():
    tx = js.scale_by_abel(0.5, js.every(4), last_decay_at=6)
    update = jax.jit(tx.update)
    state, ours = tx.init(jnp.ones(())), []
    for _ in range(9):
        updates, state = update(jnp.ones(()), state, jnp.ones(()))
        ours.append(float(updates))
    assert ours == [1.0] * 6 + [0.5] * 3
    both = js.scale_by_abel(0.5, EVERY_UPDATE, last_decay_at=4)
    assert scales(both, [9, 4, 9, 4]) == [1, 1, 1, 0.25]


def test_measures_the_incoming_weights_of_each_epoch_but_the_first():
    plan = js.Plan((js.Phase(epochs=6, batch_size=3),), num_examples=10)
    # Batches of 3 from 10 examples an epoch: the first update at or after example 10, 20, …
    starts = [4, 7, 10, 14, 17]
    tx = js.scale_by_abel(0.5, plan.is_epoch_start)
    update = jax.jit(tx.update)
    state = tx.init(jnp.zeros(()))
    for step in range(plan.total_steps):
        _, state = update(jnp.ones(()), state, jnp.float32(step + 1))
        last = [start for start in starts if start <= step]
        assert float(state.squared_norm) == ((last[-1] + 1) ** 2 if last else 0)
        assert int(state.num_measurements) == len(last)


def test_squared_norm_of_a_tree_against_float64():
    rng = np.random.default_rng(5)
    w = {
        "conv": {"kernel": rng.normal(size=(3, 3, 64, 128)), "bias": rng.normal(size=128)},
        "norm": {"scale": 1 + rng.normal(size=64), "bias": rng.normal(size=64)},
    }
    squares = {
        name: float(np.sum(leaf**2))
        for name, leaf in [
            ("kernel", w["conv"]["kernel"]),
            ("conv_bias", w["conv"]["bias"]),
            ("scale", w["norm"]["scale"]),
            ("norm_bias", w["norm"]["bias"]),
        ]
    }
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), w)
    masks = {
        None: sum(squares.values()),
        "prefix": squares["kernel"] + squares["conv_bias"],
        "function": squares["kernel"],
    }
    of = {
        None: None,
        "prefix": {"conv": True, "norm": False},
        "function": lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    }
    for name, expected in masks.items():
        tx = js.scale_by_abel(0.5, EVERY_UPDATE, mask=of[name])
        state = tx.init(params)._replace(count=jnp.int32(1))
        _, state = jax.jit(tx.update)(params, state, params)
        assert float(state.squared_norm) == pytest.approx(expected, rel=2e-6)


def test_squared_norm_of_millions_of_bfloat16_weights():
    """Summed in float32: in bfloat16 the sum would stop growing at 256 terms."""
    w = jnp.full((1 << 21,), 0.01, jnp.bfloat16)
    tx = js.scale_by_abel(0.5, EVERY_UPDATE)
    _, state = jax.jit(tx.update)(w, tx.init(w)._replace(count=jnp.int32(1)), w)
    assert float(state.squared_norm) == pytest.approx(float(w[0]) ** 2 * (1 << 21), rel=1e-5)


def test_acts_outside_the_momentum_like_torchs_learning_rate():
    """Recorded from torch 2.13: SGD, momentum 0.9, lr 0.1 then 0.01 from the fourth step on."""
    tx = optax.chain(optax.sgd(0.1, momentum=0.9), js.scale_by_abel(0.1, EVERY_UPDATE, 3))
    w = jnp.ones(())
    update = jax.jit(tx.update)
    state, ours = tx.init(w), []
    for _ in range(6):
        updates, state = update(jnp.ones(()), state, w)
        w = optax.apply_updates(w, updates)
        ours.append(float(w))
    np.testing.assert_allclose(ours, [0.9, 0.71, 0.439, 0.40461, 0.36366, 0.31680], atol=6e-6)


NORMS = [9, 4, 1, 4, 9, 4, 1, 4, 1]
SCALES = [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def walk(update, state, weights):
    """The scales of successive updates that receive these weights."""
    found = []
    for w in weights:
        updates, state = update(jnp.ones(()), state, w)
        found.append(float(updates))
    return found, state


def test_continues_from_a_state_saved_as_numbers_on_disk(tmp_path):
    tx = js.scale_by_abel(0.5, EVERY_UPDATE)
    update = jax.jit(tx.update)
    weights = [0.0, *np.sqrt(np.float32(NORMS))]
    for cut in range(1, len(weights)):
        before, state = walk(update, tx.init(0.0), weights[:cut])
        np.savez(tmp_path / "state.npz", **jax.tree.map(np.asarray, state)._asdict())
        saved = np.load(tmp_path / "state.npz")
        after, _ = walk(update, ScaleByAbelState(**{k: saved[k] for k in saved}), weights[cut:])
        assert before + after == [1, *SCALES]


def test_four_replicas_decide_alike():
    tx = js.scale_by_abel(0.5, EVERY_UPDATE)
    state = jax.pmap(lambda _: tx.init(0.0))(jnp.arange(4))
    update = jax.pmap(tx.update)
    for norm, scale in zip([0, *NORMS], [1, *SCALES], strict=True):
        w = jnp.full((4,), np.sqrt(norm), jnp.float32)
        updates, state = update(jnp.ones((4,)), state, w)
        np.testing.assert_array_equal(updates, np.full(4, scale))


def test_measures_the_whole_of_sharded_weights():
    """Each device holds a quarter; the norm of each quarter alone never rises."""
    mesh = Mesh(np.array(jax.devices()[:4]), ("shard",))
    sharding = NamedSharding(mesh, P("shard"))
    tx = js.scale_by_abel(0.5, EVERY_UPDATE)
    update = jax.jit(tx.update)
    state, found = tx.init(jnp.zeros(4)), []
    for norm in [0, *NORMS]:
        w = np.zeros((4,), np.float32)
        w[norm % 4] = np.sqrt(norm)
        w = jax.device_put(w, sharding)
        updates, state = update(w, state, w)
        found.append(float(state.scale))
        assert float(state.squared_norm) == norm
        assert updates.sharding.is_equivalent_to(sharding, 1)
    assert found == [1, *SCALES]


def test_sharded_kernel_and_replicated_bias_decide_as_on_one_device():
    """With whole numbers, whose sums of squares are exact in any order of addition."""
    rng = np.random.default_rng(6)
    drawn = {"kernel": rng.integers(-9, 10, (60, 8, 3)), "bias": rng.integers(-9, 10, (60, 4))}
    drawn = jax.tree.map(lambda w: w.astype(np.float32), drawn)
    mesh = Mesh(np.array(jax.devices()[:4]), ("shard",))
    placed = {"kernel": NamedSharding(mesh, P("shard")), "bias": NamedSharding(mesh, P())}
    tx = js.scale_by_abel(0.5, EVERY_UPDATE, dead_band=0.01)

    def run(place, place_state):
        update, found, num_compiled = jax.jit(tx.update), [], []
        state = place_state(tx.init(jax.tree.map(lambda w: w[0], drawn)))
        for i in range(60):
            w = place(jax.tree.map(lambda w, i=i: w[i], drawn))
            updates, state = update(w, state, w)
            found.append(jax.tree.map(np.asarray, state))
            num_compiled.append(update._cache_size())
        # The cache belongs to the function: it already has the program of another run.
        assert len(set(num_compiled)) == 1
        return found, updates

    expected, _ = run(lambda w: w, lambda state: state)
    ours, updates = run(
        lambda w: jax.device_put(w, placed),
        lambda state: jax.device_put(state, NamedSharding(mesh, P())),
    )
    jax.tree.map(np.testing.assert_array_equal, ours, expected)
    assert updates["kernel"].sharding.is_equivalent_to(placed["kernel"], 2)
    assert updates["bias"].sharding.is_equivalent_to(placed["bias"], 1)
    # The walk bounces, and its norms are those of the whole trees.
    assert int(ours[-1].num_decays) > 5
    assert {bool(state.reached_minimum) for state in ours} == {False, True}
    squared = (drawn["kernel"] ** 2).sum((1, 2)) + (drawn["bias"] ** 2).sum(1)
    norms = [float(state.squared_norm) for state in ours]
    assert [norm in squared for norm in norms[1:]] == [True] * 59
    assert norms[-1] == squared[-1]


def test_a_norm_that_is_not_finite_decides_nothing():
    norms = [9, 4, 9, np.inf, np.nan, 4, 9, 9]
    assert scales(js.scale_by_abel(0.5, EVERY_UPDATE), norms) == [1.0] * 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay_factor": 5}, "decay_factor between 0 and 1, got 5"),
        ({"decay_factor": 0.0}, "decay_factor between 0 and 1"),
        ({"at": 391}, r"predicate .* jaxsched\.every\(391\)"),
        ({"last_decay_at": 0.85}, "whole update count of at least 1, got 0.85.*first_step"),
        ({"last_decay_at": 0}, "at least 1, got 0"),
        ({"floor": 1.0}, "floor from 0 to below 1"),
        ({"dead_band": -0.1}, "dead_band from 0 to below 1"),
    ],
)
def test_wrong_arguments_are_refused_when_built(options, message):
    with pytest.raises(ValueError, match=message):
        js.scale_by_abel(**({"decay_factor": 0.2, "at": EVERY_UPDATE} | options))


@pytest.mark.parametrize(
    ("name", "value"),
    [("decay_factor", js.Linear(0.2, 0.5, 9)), ("floor", "0.1"), ("dead_band", None)],
)
def test_setting_that_is_no_number_is_refused(name, value):
    options = {"decay_factor": 0.2, "at": EVERY_UPDATE} | {name: value}
    with pytest.raises(ValueError, match=f"scale_by_abel needs {name} to be a number, got"):
        js.scale_by_abel(**options)


@pytest.mark.parametrize(
    ("static", "named"),
    [((), "at"), (("at",), "last_decay_at"), (("at", "last_decay_at"), "mask")],
)
def test_function_that_optax_called_is_refused_with_the_fix(static, named):
    """Under optax.inject_hyperparams every function is a schedule, unless it is named."""
    options = {
        "at": EVERY_UPDATE,
        "last_decay_at": lambda step: step == 3,
        "mask": lambda params: jax.tree.map(lambda w: jnp.ndim(w) > 0, params),
    }
    build = optax.inject_hyperparams(js.scale_by_abel, static_args=static)
    w = {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match=f"name {named} in static_args"):
        build(0.5, **options).init(w)
    build = optax.inject_hyperparams(js.scale_by_abel, static_args=("at", "last_decay_at", "mask"))
    tx = build(0.5, **options)
    updates, _ = jax.jit(tx.update)(w, tx.init(w), w)
    np.testing.assert_array_equal(updates["w"], w["w"])


def test_mask_that_is_a_module_is_no_function():
    """As a module of Equinox is: a tree that can be called."""

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Layer:
        kernel: object
        bias: object

        def __call__(self, x):
            raise AssertionError("The mask is a tree.")

    w = Layer(jnp.full((2,), 3.0), jnp.ones(5))
    tx = js.scale_by_abel(0.5, EVERY_UPDATE, mask=Layer(True, False))
    _, state = tx.update(w, tx.init(w)._replace(count=jnp.int32(1)), w)
    assert float(state.squared_norm) == 18


def test_mask_of_nothing_is_refused_for_a_whole_tree_only():
    w = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2), "count": jnp.int32(0)}
    kernels = {"kernel": True, "bias": False, "count": False}
    for mask in (False, {"kernel": False, "bias": False, "count": True}, lambda w: False):
        with pytest.raises(ValueError, match="selects at least one parameter"):
            js.scale_by_abel(0.2, EVERY_UPDATE, mask=mask).init(w)
    # The groups of a partition share the mask of kernels, and one group has none of them.
    tx = optax.partition(
        {name: js.scale_by_abel(0.2, EVERY_UPDATE, mask=kernels) for name in "ab"},
        {"kernel": "a", "bias": "b", "count": "b"},
    )
    state = tx.init(w)
    for _ in range(2):
        _, state = tx.update(w, state, w)
    norms = [s.inner_state.squared_norm for s in state.inner_states.values()]
    assert norms == [4, 0]
    # Without a mask there is nothing to be wrong about it.
    js.scale_by_abel(0.2, EVERY_UPDATE).init({"count": jnp.int32(0)})


def test_lookahead_that_resets_the_state_keeps_the_flag():
    """It makes a number of the flag: (1 − sync) · current + sync · fresh."""
    tx = optax.lookahead(js.scale_by_abel(0.5, EVERY_UPDATE), 3, 0.5, reset_state=True)
    weights = optax.LookaheadParams.init_synced(jnp.ones(2))
    state, counts = tx.init(weights), []
    for _ in range(4):
        _, state = tx.update(jnp.ones(2), state, weights)
        counts.append(int(state.fast_state.count))
    assert counts == [1, 2, 0, 1]


def test_mask_of_nothing_and_missing_params_are_refused():
    with pytest.raises(ValueError, match="selects at least one parameter"):
        js.scale_by_abel(0.2, EVERY_UPDATE, mask=False).init({"w": jnp.ones(2)})
    tx = js.scale_by_abel(0.2, EVERY_UPDATE)
    with pytest.raises(ValueError, match=r"tx\.update\(updates, state, params\)"):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())))
