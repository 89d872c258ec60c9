"""ReduceLROnPlateau against torch's recorded traces, scaled to other learning rates."""

import collections
import inspect
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxsched as js

HERE = pathlib.Path(__file__).parent
# Recorded with torch 2.13 at a base rate of 1, by record_torch_plateau.py.
TRACES = json.loads((HERE.parent / "transforms" / "torch_plateau.json").read_text())
EVERY_UPDATE = js.every(1)
ReduceLROnPlateau = js.compat.torch.ReduceLROnPlateau


def rates(lr, plateau, walk):
    """The learning rate of each update that observes a value of the walk."""
    tx = optax.chain(optax.sgd(lr), plateau)

    def step(state, value):
        updates, state = tx.update(jnp.ones(()), state, value=value)
        return state, -updates

    # Update 0 does not observe.
    _, state = tx.update(jnp.ones(()), tx.init(jnp.zeros(())), value=jnp.float32(0.0))
    return jax.lax.scan(step, state, jnp.asarray(walk, jnp.float32))[1]


# torch's rule is homogeneous in the rate, and a power of two scales it without rounding: lr, min_lr
# and eps times 1/4 give every recorded rate times 1/4, ties included.
@pytest.mark.parametrize("lr", [0.25, 4.0])
def test_equals_torch_on_every_recorded_trace_at_another_rate(lr):
    by_modes = collections.defaultdict(list)
    for trace in TRACES:
        by_modes[trace["options"]["mode"], trace["options"]["threshold_mode"]].append(trace)
    assert len(by_modes) == 4 and len(TRACES) == 300
    for (mode, threshold_mode), traces in by_modes.items():

        def ours(numbers, walk, mode=mode, threshold_mode=threshold_mode):
            plateau = ReduceLROnPlateau(
                lr, mode, threshold_mode=threshold_mode, at=EVERY_UPDATE, **numbers
            )
            return rates(lr, plateau, walk)

        names = ("factor", "patience", "threshold", "cooldown", "min_lr", "eps")
        numbers = {n: np.array([t["options"][n] for t in traces], np.float32) for n in names}
        numbers |= {n: np.float32(lr) * numbers[n] for n in ("min_lr", "eps")}
        walks = np.array([t["walk"] for t in traces], np.float32)  # None becomes NaN
        expected = lr * np.array([t["lr"] for t in traces])
        np.testing.assert_allclose(jax.jit(jax.vmap(ours))(numbers, walks), expected, rtol=1e-5)


# The signature that torch 2.13 documents, after the optimizer.
TORCH_SIGNATURE = {
    "mode": "min",
    "factor": 0.1,
    "patience": 10,
    "threshold": 1e-4,
    "threshold_mode": "rel",
    "cooldown": 0,
    "min_lr": 0,
    "eps": 1e-8,
}


def test_names_order_and_defaults_are_torchs():
    parameters = dict(inspect.signature(ReduceLROnPlateau).parameters)
    assert parameters.pop("lr").kind is inspect.Parameter.POSITIONAL_ONLY
    assert parameters.pop("at").kind is inspect.Parameter.KEYWORD_ONLY
    assert [(name, p.default) for name, p in parameters.items()] == list(TORCH_SIGNATURE.items())


def test_decays_at_the_defaults_as_torch_does():
    """On a constant 1: eleven bad values after the first, then a tenth."""
    ours = rates(0.5, ReduceLROnPlateau(0.5, at=EVERY_UPDATE), [1.0] * 23)
    np.testing.assert_allclose(ours, [0.5] * 11 + [0.05] * 11 + [0.005], rtol=1e-6)


def test_arguments_may_come_by_position():
    """By hand: best 1, bad, decay with a cooldown of one; best 2 by 0.5; bad, bad, min_lr."""
    plateau = ReduceLROnPlateau(1.0, "max", 0.5, 1, 0.25, "abs", 1, 0.375, 0.0, at=EVERY_UPDATE)
    walk = [1.0, 1.25, 1.0, 1.0, 1.5, 1.75, 1.75, 1.75]
    assert rates(1.0, plateau, walk).tolist() == [1.0] * 2 + [0.5] * 4 + [0.375] * 2


def test_a_step_of_eps_is_not_taken():
    """The step from 0.5 to 0.25 is 0.25 long."""
    for eps, last in [(0.25, 0.5), (0.2, 0.25)]:
        plateau = ReduceLROnPlateau(0.5, factor=0.5, patience=0, eps=eps, at=EVERY_UPDATE)
        assert rates(0.5, plateau, [1.0, 1.0]).tolist() == [0.5, last]


def test_observes_only_where_at_is_true_and_compiles_once():
    plateau = ReduceLROnPlateau(0.5, factor=0.5, patience=0, min_lr=0.125, at=js.every(3))
    tx = optax.chain(optax.sgd(0.5), plateau)
    update = jax.jit(tx.update)
    state, ours = tx.init(jnp.zeros(())), []
    for step in range(15):
        # The values in between would reset the count or decay if they were observed.
        value = 1.0 if step % 3 == 0 else 1e-3 * (12 - step)
        updates, state = update(jnp.ones(()), state, value=value)
        ours.append(-float(updates))
    assert ours == [0.5] * 6 + [0.25] * 3 + [0.125] * 6
    assert update._cache_size() == 1


def test_multiplies_the_rate_of_a_warm_up():
    """The rise in closed form, halved at each observation from the second bad one on."""
    lr = js.Warmup(js.Constant(0.5), duration=8, start=0.125)
    plateau = ReduceLROnPlateau(0.5, factor=0.5, patience=0, min_lr=0.0625, at=js.every(2))
    tx = optax.chain(optax.sgd(lr), plateau)
    update = jax.jit(tx.update)
    state, ours = tx.init(jnp.zeros(())), []
    for _ in range(14):
        updates, state = update(jnp.ones(()), state, value=1.0)
        ours.append(-float(updates))
    t = np.arange(14)
    rise = 0.5 * np.minimum(0.25 + 0.75 * t / 8, 1)
    decay = np.maximum(0.5 ** np.maximum(t // 2 - 1, 0), 0.0625 / 0.5)
    np.testing.assert_allclose(ours, rise * decay, rtol=1e-6)


def test_one_vmap_sweeps_the_learning_rate():
    """A min_lr of 0.25 is a half of 0.5 and a quarter of 1."""

    def last(lr):
        plateau = ReduceLROnPlateau(lr, factor=0.1, patience=0, min_lr=0.25, at=EVERY_UPDATE)
        return rates(lr, plateau, [1.0, 1.0])[-1]

    assert jax.vmap(last)(jnp.array([0.5, 1.0])).tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    ("lr", "options", "message"),
    [
        (0.0, {}, "learning rate above 0, got lr=0.0"),
        (-0.1, {}, "learning rate above 0, got lr=-0.1"),
        (0.1, {"min_lr": 0.1}, r"below the learning rate lr=0.1, got min_lr=0.1; .* lower it"),
        (0.1, {"min_lr": 0.5}, r"below the learning rate lr=0.1, got min_lr=0.5; .* lower it"),
        (0.1, {"min_lr": -0.1}, r"min_lr from 0"),
        (0.1, {"min_lr": [0.01, 0.001]}, r"one number .*\[0.01, 0.001\].*optax\.partition"),
        (0.1, {"min_lr": (0.01,)}, r"one number .*\(0.01,\).*optax\.partition"),
        (0.1, {"eps": -0.5}, "eps of at least 0, got eps=-0.5"),
        (0.1, {"factor": 1.0}, "factor between 0 and 1"),
        (0.1, {"patience": -1}, "patience to be a whole number"),
        (0.1, {"mode": "lower"}, "mode to be one of"),
        (0.1, {"at": 391}, r"jaxsched\.every\(391\)"),
    ],
)
def test_impossible_arguments_are_refused(lr, options, message):
    with pytest.raises(ValueError, match=message):
        ReduceLROnPlateau(lr, **({"at": EVERY_UPDATE} | options))


def test_at_is_required():
    with pytest.raises(TypeError, match="'at'"):
        ReduceLROnPlateau(0.1)


def test_missing_value_is_named():
    tx = optax.chain(optax.sgd(0.1), ReduceLROnPlateau(0.1, at=EVERY_UPDATE))
    with pytest.raises(TypeError, match="'value'"):
        tx.update(jnp.ones(()), tx.init(jnp.zeros(())))
