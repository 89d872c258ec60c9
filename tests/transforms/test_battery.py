"""Every transformation is the same under jit, scan, pmap, shard_map, dtypes and donation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh
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
