"""Every transformation is the same under jit, scan, pmap, shard_map, dtypes and donation.

It does the same with every kind of parameter tree, too.
"""

import functools
import pickle
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax.core import meta
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

import jaxsched as js

AT = js.every(2)
TRANSFORMATIONS = {
    "abel": js.scale_by_abel(0.5, AT, last_decay_at=3),
    "abel_options": js.scale_by_abel(
        0.5, AT, mask=lambda w: jax.tree.map(lambda x: x.ndim > 1, w), floor=0.1, dead_band=0.01
    ),
    "plateau": js.scale_by_plateau(AT, factor=0.5, patience=0),
    "plateau_options": js.scale_by_plateau(AT, mode="max", threshold_mode="abs", cooldown=2),
    "swa": js.average_params(AT),
    "ema": js.average_params(AT, decay=0.9),
    "swag": js.swag(AT, rank=2),
    "noise": js.estimate_noise(0.9),
    "all": optax.chain(
        optax.trace(0.9),
        optax.scale_by_learning_rate(js.Cosine(0.1, duration=10)),
        js.scale_by_abel(0.5, AT),
        js.scale_by_plateau(AT),
        js.average_params(AT),
    ),
}
NUM_UPDATES = 7
VALUES = jnp.array([0.0, 3.0, 2.0, 2.0, 3.0, 3.0, 1.0])

every_one = pytest.mark.parametrize("name", TRANSFORMATIONS)
# Without the noise estimate, which has no `at`: it works at every update.
every_one_at = pytest.mark.parametrize("name", [n for n in TRANSFORMATIONS if n != "noise"])


def observations(value):
    """The extra arguments of all transformations."""
    return {
        "value": value,
        "small_squared_norm": value,
        "small_batch_size": 2,
        "batch_size": 8,
    }


def draw_params(dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return {"kernel": jnp.asarray(rng.normal(size=(3, 4)), dtype), "bias": jnp.ones((4,), dtype)}


def draw_updates(dtype=jnp.float32):
    """Updates that change sign, so that norms bounce."""
    signs = np.array([-1, 1, -1, -1, 1, 1, -1], np.float32)
    return jax.tree.map(
        lambda w: jnp.asarray(signs.reshape(-1, *[1] * w.ndim) * np.asarray(w)[None], dtype),
        draw_params(),
    )


def inputs_at(i, dtype=jnp.float32):
    """Updates and value of update i."""
    return jax.tree.map(lambda u: u[i], draw_updates(dtype)), VALUES[i]


def step(tx, carry, inputs):
    """Applies one update to (params, state); also returns the transformed updates."""
    params, state = carry
    updates, value = inputs
    updates, state = tx.update(updates, state, params, **observations(value))
    return (optax.apply_updates(params, updates), state), updates


@functools.cache
def run(name, dtype=jnp.float32):
    """A run under jit: final (params, state), all updates, and the jitted function."""
    tx = TRANSFORMATIONS[name]
    update = jax.jit(lambda carry, inputs: step(tx, carry, inputs))
    params = draw_params(dtype)
    carry, found = (params, jax.jit(tx.init)(params)), []
    for i in range(NUM_UPDATES):
        carry, updates = update(carry, inputs_at(i, dtype))
        found.append(updates)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *found), update


def signature(tree):
    """Structure, and shape, dtype and weak type of each leaf."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(x.shape, x.dtype, x.aval.weak_type) for x in leaves]


def assert_close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


@every_one
def test_extra_arguments_are_ignored(name):
    tx, params = TRANSFORMATIONS[name], draw_params()
    first, value = inputs_at(0)
    updates, _ = jax.jit(
        lambda state: tx.update(
            first, state, params, **observations(value), grad=params, nonsense="x"
        )
    )(tx.init(params))
    assert_close(updates, jax.tree.map(lambda u: u[0], run(name)[1]))


@every_one
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_state_is_stable_updates_keep_their_dtype_and_nothing_compiles_twice(name, dtype):
    tx = TRANSFORMATIONS[name]
    (params, state), updates, update = run(name, dtype)
    assert signature(state) == signature(jax.jit(tx.init)(params))
    assert signature(state) == signature(tx.init(params))
    assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(dtype)}
    assert update._cache_size() == 1


@every_one
def test_scan_under_shard_map_equals_one_call_an_update(name):
    """shard_map also proves, as it compiles, that equal replicas stay equal."""
    tx, params = TRANSFORMATIONS[name], draw_params()
    mesh = Mesh(np.array(jax.devices()[:4]), ("batch",))

    def replica_step(carry, inputs):
        updates, value = inputs
        updates = jax.lax.pmean(jax.lax.pcast(updates, "batch", to="varying"), "batch")
        return step(tx, carry, (updates, value))

    def scan(carry, inputs):
        return jax.lax.scan(replica_step, carry, inputs)

    mapped = jax.jit(jax.shard_map(scan, mesh=mesh, in_specs=P(), out_specs=P()))
    carry, updates = mapped((params, tx.init(params)), (draw_updates(), VALUES))
    assert_close(carry, run(name)[0])
    assert_close(updates, run(name)[1])


@every_one
def test_pmap_with_donation_equals_jit(name):
    tx = TRANSFORMATIONS[name]
    carry = jax.pmap(lambda _: (draw_params(), tx.init(draw_params())))(jnp.arange(4))
    update = jax.pmap(lambda c, i: step(tx, c, i), in_axes=(0, None), donate_argnums=0)
    for i in range(NUM_UPDATES):
        carry, _ = update(carry, inputs_at(i))
    for replica in range(4):
        assert_close(jax.tree.map(lambda x, r=replica: x[r], carry), run(name)[0])


@every_one
def test_donated_state_gives_the_same_run(name):
    tx, params = TRANSFORMATIONS[name], draw_params()
    update = jax.jit(lambda c, i: step(tx, c, i), donate_argnums=0)
    carry = (params, tx.init(params))
    for i in range(NUM_UPDATES):
        carry, _ = update(carry, inputs_at(i))
    assert_close(carry, run(name)[0])


@every_one
@pytest.mark.parametrize("jit", [False, True])
def test_no_buffer_is_held_twice(name, jit):
    tx, params = TRANSFORMATIONS[name], draw_params()
    state = (jax.jit(tx.init) if jit else tx.init)(params)
    buffers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((params, state))]
    assert len(set(buffers)) == len(buffers)


@every_one_at
def test_other_updates_pass_the_state_through(name):
    """The branch of an update that neither measures, observes nor collects has no equation."""
    tx, params = TRANSFORMATIONS[name], draw_params()
    jaxpr = jax.make_jaxpr(lambda u, s, w, v: tx.update(u, s, w, value=v))(
        params, tx.init(params), params, jnp.float32(1.0)
    )
    conditions = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "cond"]
    assert len(conditions) == (3 if name == "all" else 1)
    assert all(not e.params["branches"][0].jaxpr.eqns for e in conditions)
    assert not [e for e in jaxpr.jaxpr.eqns if e.primitive.name == "reduce_sum"]


@jax.tree_util.register_dataclass
@dataclass
class Layer:
    """A module that is a tree and can be called, as Equinox's are."""

    kernel: Any
    bias: Any

    def __call__(self, x):
        raise AssertionError("The layer is a tree, and no function of one.")


def odd(w):
    """The tree with leaves that are no numbers to train."""
    key = jax.random.key(7)
    return w | {"count": jnp.int32(2), "flag": np.bool_(True), "key": key, "nothing": None}


def odd_updates(w):
    """Its updates, with what a gradient may have in those places."""
    flag = np.zeros((), jax.dtypes.float0)
    return w | {"count": jnp.int32(1), "flag": flag, "key": None, "nothing": None}


def even(w):
    return {"kernel": w["kernel"], "bias": w["bias"]}


def complexed(w):
    kernel = jnp.asarray(w["kernel"])
    return {"kernel": jax.lax.complex(kernel[..., :2], kernel[..., 2:]), "bias": w["bias"]}


def real_parts(w):
    kernel = jnp.asarray(w["kernel"])
    return {"kernel": jnp.concatenate([kernel.real, kernel.imag], -1), "bias": w["bias"]}


def boxed(w):
    return {
        "kernel": nn.Partitioned(w["kernel"], ("rows", None)),
        "bias": nn.LogicallyPartitioned(w["bias"], ("rows",)),
    }


def cast(kind):
    return lambda w: jax.tree.map(kind, w)


# By name: the tree of a kernel and a bias, that of their updates, the two in a tree, a tolerance.
KINDS = {
    "float16": (cast(jnp.float16), cast(jnp.float16), even, 2e-3),
    "bfloat16": (cast(jnp.bfloat16), cast(jnp.bfloat16), even, 2e-2),
    "numpy": (cast(np.asarray), cast(np.asarray), even, 1e-6),
    "numpy float64": (cast(np.float64), cast(np.float64), even, 1e-6),
    "Python floats": (cast(float), cast(float), even, 1e-6),
    "odd leaves": (odd, odd_updates, even, 1e-6),
    "complex": (complexed, complexed, real_parts, 1e-6),
    "module": (lambda w: Layer(**w), lambda w: Layer(**w), vars, 1e-6),
    "boxes": (boxed, boxed, meta.unbox, 1e-6),
}
ALWAYS = js.every(1)
OURS = {
    "abel": js.scale_by_abel(0.5, ALWAYS, last_decay_at=6),
    "plateau": js.scale_by_plateau(ALWAYS, factor=0.5, patience=0),
    "ema": js.average_params(ALWAYS, decay=0.9),
    "swag": js.swag(ALWAYS, rank=2),
    "noise": js.estimate_noise(),
    "chain": optax.chain(
        js.scale_by_abel(0.5, ALWAYS),
        js.scale_by_plateau(ALWAYS, mode="max", threshold_mode="abs"),
        js.average_params(ALWAYS),
    ),
}
# The weights over their first ones are 1, .5, .25, .75, 1.25, .75: ABEL decays at the last.
MULTIPLES = (-0.5, -0.25, 0.5, 0.5, -0.5, -0.25)


def added(w, update):
    """The parameters after an update; leaves that are no numbers to train stay."""
    is_trained = jnp.issubdtype(jnp.result_type(w), jnp.inexact)
    return optax.apply_updates(w, update) if is_trained else w


def readings(name, state, w, read):
    """What users read of a state, with trees as a kernel and a bias."""
    if name in ("ema", "chain"):
        return read(js.averaged_params(state, w))
    if name == "swag":
        moments = (js.averaged_params(state, w), state.variance, state.deviations)
        return [read(tree) for tree in moments]
    return js.gradient_noise(state) if name == "noise" else state.scale


def walk(first, kind):
    """What every transformation makes of the same numbers in this kind of tree."""
    make, make_updates, read, _ = kind
    found = {}
    for name, tx in OURS.items():
        w = make(first)
        state = tx.init(w)
        for multiple, value in zip(MULTIPLES, VALUES, strict=False):
            updates = make_updates(jax.tree.map(lambda x, by=multiple: by * x, first))
            updates, state = tx.update(updates, state, w, **observations(value))
            w = jax.tree.map(added, w, updates)
        found[name] = (read(w), read(updates), readings(name, state, w, read))
        if "count" in (w if isinstance(w, dict) else {}):
            assert int(updates["count"]) == 1
            averaged = js.averaged_params(state, w) if name in ("ema", "swag", "chain") else w
            assert (averaged["count"], averaged["flag"], averaged["key"]) == (2, True, w["key"])
    return found


def first_weights(name):
    w = draw_params()
    return jax.tree.map(lambda x: x.ravel()[0], w) if name == "Python floats" else w


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_tree_has_the_numbers_of_float32_arrays(name):
    first, tolerance = first_weights(name), KINDS[name][-1]
    with jax.disable_jit():
        ours = walk(first, KINDS[name])
        expected = walk(first, (even, even, even, 0))
    assert float(ours["abel"][-1]) == float(expected["abel"][-1]) == 0.5
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        ours, expected,
    )  # fmt: skip


def types(tree):
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(x.shape, x.dtype, x.weak_type) for x in leaves]


def assert_stable(tx, params, updates):
    """Traces an update with strict promotion: state and updates keep structure and dtypes."""
    with jax.numpy_dtype_promotion("strict"):
        before = jax.eval_shape(tx.init, params)
        found, after = jax.eval_shape(
            lambda state, w: tx.update(updates, state, w, **observations(jnp.float32(1))),
            before, params,
        )  # fmt: skip
    assert types(after) == types(before)
    given = jax.tree.leaves(jax.eval_shape(lambda: [u for u in jax.tree.leaves(updates)]))
    assert [u.dtype for u in jax.tree.leaves(found)] == [u.dtype for u in given]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_tree_has_a_stable_state_under_strict_promotion(name):
    make, make_updates, *_ = KINDS[name]
    first = first_weights(name)
    for tx in OURS.values():
        assert_stable(tx, make(first), make_updates(first))


@pytest.mark.parametrize("empty", [{}, optax.MaskedNode(), {"a": optax.MaskedNode(), "b": None}])
def test_tree_without_parameters_is_accepted(empty):
    def kernels(w):
        raise AssertionError("There is nothing that the mask could be of.")

    masked = {"masked": js.scale_by_abel(0.5, ALWAYS, mask=kernels)}
    for name, tx in (OURS | masked).items():
        assert_stable(tx, empty, empty)
        with jax.disable_jit():
            updates, state = tx.update(empty, tx.init(empty), empty, **observations(1.0))
        assert updates == empty
        if name in ("ema", "swag", "chain"):
            assert js.averaged_params(state, empty) == empty
        if name == "swag":
            assert js.sample_swag(state, empty, jax.random.key(0)) == empty


@every_one
def test_state_is_laid_out_like_given_parameters_by_optaxs_tool(name):
    tx, params = TRANSFORMATIONS[name], draw_params()
    layout = {"kernel": P("rows"), "bias": P()}
    laid_out = optax.tree.map_params(
        tx, lambda _, spec: spec, tx.init(params), layout, transform_non_params=lambda _: None
    )
    expected = {"swa": 1, "ema": 1, "swag": 3, "all": 2}.get(name, 0)
    assert jax.tree.leaves(laid_out).count(P("rows")) == expected


def test_64_bits_and_complex_numbers_have_stable_states_under_strict_promotion():
    with jax.enable_x64(True):
        first = cast(lambda x: np.asarray(x, np.float64))(draw_params())
        mixed = first | {"bias": jnp.asarray(first["bias"], jnp.float32)}
        for tx in OURS.values():
            for w in (first, mixed, complexed(first), odd(mixed)):
                assert_stable(tx, w, w if "count" not in w else odd_updates(mixed))
        wide = js.swag(ALWAYS, rank=2).init(mixed)
        assert [x.dtype for x in jax.tree.leaves(wide.deviations)] == [jnp.float32, jnp.float64]


@pytest.mark.slow
def test_explicit_mesh_shards_the_state_like_the_parameters():
    """Types with shardings, which JAX checks, stay as `init` made them."""
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        w = {"kernel": jnp.ones((2, 8, 3), jnp.bfloat16, out_sharding=P(None, "rows"))}
        states = {name: tx.init(w) for name, tx in OURS.items()}

        def update(states, w):
            given = observations(jnp.float32(1))
            return {name: tx.update(w, states[name], w, **given) for name, tx in OURS.items()}

        found = jax.jit(update)(states, w)
        # As it is made eagerly, by the one that holds the most.
        found["eager"] = js.swag(ALWAYS, rank=2).update(w, states["swag"], w)
        for name, (updates, after) in found.items():
            before = states["swag" if name == "eager" else name]
            assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, before)
            assert jax.typeof(updates["kernel"]) == jax.typeof(w["kernel"])
        _, swag = found["eager"]
        assert jax.typeof(swag.deviations["kernel"]).sharding.spec == P(None, None, "rows", None)
        draw = js.sample_swag(swag, w, jax.random.key(0))
        assert jax.typeof(draw["kernel"]) == jax.typeof(w["kernel"])


def test_infinity_is_in_no_state():
    """With jax_debug_infs it would be an error, and a reset by arithmetic makes NaN of it."""
    w = draw_params()
    with jax.debug_infs(True):
        states = {name: tx.init(w) for name, tx in (OURS | TRANSFORMATIONS).items()}
        for mode in ("min", "max"):
            tx = js.scale_by_plateau(ALWAYS, mode=mode)
            update, state = jax.jit(tx.update), tx.init(w)
            for _ in range(2):
                _, state = update(w, state, value=1.0)
            assert float(state.best) == 1
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(states))


def test_states_are_pickled():
    for tx in TRANSFORMATIONS.values():
        state = tx.init(draw_params())
        again = pickle.loads(pickle.dumps(state))
        assert jax.tree.structure(again) == jax.tree.structure(state)
        jax.tree.map(np.testing.assert_array_equal, again, state)
