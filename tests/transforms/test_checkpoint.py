"""What holds for every transformation: it goes on from an Orbax checkpoint bit for bit."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

import jaxsched as js
from jaxsched.transforms import AverageParamsState, ScaleByAbelState, ScaleByPlateauState


def load_battery():
    """The module of the battery: pytest's importlib mode has no packages to import it from."""
    path = pathlib.Path(__file__).with_name("test_battery.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BATTERY = load_battery()
TRANSFORMATIONS = BATTERY.TRANSFORMATIONS | {
    # The battery's own has no learning rate left after ten updates, and so no bounce.
    "all": optax.chain(
        optax.trace(0.9),
        optax.scale_by_learning_rate(js.Cosine(0.1, duration=200)),
        js.scale_by_abel(0.5, BATTERY.AT),
        js.scale_by_plateau(BATTERY.AT, patience=3),
        js.average_params(BATTERY.AT),
    ),
}
NUM_UPDATES = 80


def draw_inputs():
    """Updates that let the norms bounce, and values that get better, then no more."""
    rng = np.random.default_rng(0)
    updates = jax.tree.map(
        lambda w: rng.normal(size=(NUM_UPDATES, *w.shape)).astype(np.float32),
        BATTERY.draw_params(),
    )
    values = 3 + np.maximum(16 - np.arange(NUM_UPDATES), 0) / 16 + rng.normal(size=NUM_UPDATES) / 64
    return updates, values.astype(np.float32)


INPUTS = draw_inputs()


def go_on(update, carry, start):
    """Every later (params, state) and updates of a run that stands before update `start`."""
    found = []
    for i in range(start, NUM_UPDATES):
        carry, updates = update(carry, jax.tree.map(lambda x, i=i: x[i], INPUTS))
        found.append((carry, updates))
    return found


def parts(state, kind):
    """The states of one kind of transformation, wherever they are."""
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in leaves if isinstance(node, kind)]


def remembers(state):
    """Whether every part has come to hold what it goes on by: a flag, bad values, a mean."""
    return (
        all(part.reached_minimum for part in parts(state, ScaleByAbelState))
        # Without patience there are no bad values to count, only the best one and the scale.
        and all(p.num_bad > 0 or p.scale < 1 for p in parts(state, ScaleByPlateauState))
        and all(part.num_averaged > 1 for part in parts(state, AverageParamsState))
    )


def scales(carry):
    kinds = (ScaleByAbelState, ScaleByPlateauState)
    return [float(part.scale) for kind in kinds for part in parts(carry[1], kind)]


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_goes_on_from_a_checkpoint_bit_for_bit(name, tmp_path):
    tx, params = TRANSFORMATIONS[name], BATTERY.draw_params()
    update = jax.jit(lambda carry, inputs: BATTERY.step(tx, carry, inputs))
    whole = go_on(update, (params, jax.jit(tx.init)(params)), 0)
    cut = next(i for i, ((_, state), _) in enumerate(whole) if i > 3 and remembers(state))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "carry", whole[cut][0])
        checkpointer.wait_until_finished()
        # All that the restoring program knows: the transformation and the parameters' shapes.
        like = jax.eval_shape(lambda: (params, tx.init(params)))
        restored = checkpointer.restore(tmp_path / "carry", like)
    assert jax.tree.structure(restored) == jax.tree.structure(whole[cut][0])
    after = go_on(update, restored, cut + 1)
    jax.tree.map(np.testing.assert_array_equal, after, whole[cut + 1 :])
    # The memory mattered: scales decay after the cut, and a state with the count alone goes on
    # otherwise.
    assert all(a < b for a, b in zip(scales(whole[-1][0]), scales(whole[cut][0]), strict=True))
    counting = optax.tree.set(jax.jit(tx.init)(params), count=jnp.int32(cut + 1))
    forgetful = go_on(update, (restored[0], counting), cut + 1)
    assert not optax.tree.allclose(forgetful, after)
    assert len(after) > 10
