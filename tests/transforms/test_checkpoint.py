"""Every transformation continues from an Orbax checkpoint bit for bit."""

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
    """Loads the battery by its path: pytest's importlib mode has no package to import it from."""
    path = pathlib.Path(__file__).with_name("test_battery.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BATTERY = load_battery()
TRANSFORMATIONS = BATTERY.TRANSFORMATIONS | {
    # The battery's schedule ends after ten updates; without updates there is no bounce.
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
    """Updates that let the norms bounce, and values that improve, then stagnate."""
    rng = np.random.default_rng(0)
    updates = jax.tree.map(
        lambda w: rng.normal(size=(NUM_UPDATES, *w.shape)).astype(np.float32),
        BATTERY.draw_params(),
    )
    values = 3 + np.maximum(16 - np.arange(NUM_UPDATES), 0) / 16 + rng.normal(size=NUM_UPDATES) / 64
    return updates, values.astype(np.float32)


INPUTS = draw_inputs()


def run_from(update, carry, start):
    """Every (params, state) and updates of a run from update `start` on."""
    found = []
    for i in range(start, NUM_UPDATES):
        carry, updates = update(carry, jax.tree.map(lambda x, i=i: x[i], INPUTS))
        found.append((carry, updates))
    return found


def parts(state, kind):
    """The states of one kind of transformation, wherever they are."""
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in leaves if isinstance(node, kind)]


def has_history(state):
    """Whether every part has state that matters later: a flag, bad values, a mean."""
    return (
        all(part.reached_minimum for part in parts(state, ScaleByAbelState))
        # Without patience there are no bad values to count, only the best one and the scale.
        and all(p.num_bad > 0 or p.scale < 1 for p in parts(state, ScaleByPlateauState))
        and all(part.num_averaged > 1 for part in parts(state, AverageParamsState))
    )


def scales(carry):
    kinds = (ScaleByAbelState, ScaleByPlateauState)
    return [float(part.scale) for kind in kinds for part in parts(carry[1], kind)]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_continues_from_a_checkpoint_bit_for_bit(name, tmp_path):
    tx, params = TRANSFORMATIONS[name], BATTERY.draw_params()
    update = jax.jit(lambda carry, inputs: BATTERY.step(tx, carry, inputs))
    whole = run_from(update, (params, jax.jit(tx.init)(params)), 0)
    cut = next(i for i, ((_, state), _) in enumerate(whole) if i > 3 and has_history(state))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "carry", whole[cut][0])
        checkpointer.wait_until_finished()
        # The restoring program knows only the transformation and the parameters' shapes.
        like = jax.eval_shape(lambda: (params, tx.init(params)))
        restored = checkpointer.restore(tmp_path / "carry", like)
    assert jax.tree.structure(restored) == jax.tree.structure(whole[cut][0])
    after = run_from(update, restored, cut + 1)
    jax.tree.map(np.testing.assert_array_equal, after, whole[cut + 1 :])
    # The state mattered: scales decay after the cut, and a state that has only the count continues
    # differently.
    assert all(a < b for a, b in zip(scales(whole[-1][0]), scales(whole[cut][0]), strict=True))
    counting = optax.tree.set(jax.jit(tx.init)(params), count=jnp.int32(cut + 1))
    without_history = run_from(update, (restored[0], counting), cut + 1)
    assert not optax.tree.allclose(without_history, after)
    assert len(after) > 10
