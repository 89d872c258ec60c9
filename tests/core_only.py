"""Checks `pip install jaxsched` without extras; .ci/core runs it in an environment of its own."""

import importlib
import re
import subprocess
import sys
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxsched as js
from jaxsched.data import BatchReader, Digits, Streamed, Synthetic

DIRECT = {"jax", "numpy", "optax"}
EXTRAS = {
    "models": "train",
    "experiment": "train",
    "train": "train",
    "tune": "tune",
    "bench": "bench",
}


def check_packages():
    """Installed are JAX, Optax, NumPy and what these need, and nothing else."""
    assert required_by("jaxsched") == DIRECT
    expected, ahead = {"jaxsched"}, [*DIRECT, "jaxlib"]
    while ahead:
        name = ahead.pop()
        if name not in expected:
            expected.add(name)
            ahead += required_by(name)
    installed = {normal(package.name) for package in metadata.distributions()}
    assert installed - {"pip", "setuptools", "wheel"} == expected, installed ^ expected
    return sorted(expected - {"jaxsched"})


def required_by(name):
    """The names of what a package needs here, without its extras."""
    needed = [text for text in metadata.requires(name) or [] if "extra ==" not in text]
    return {normal(re.split(r"[^\w.-]", text)[0]) for text in needed if "python_" not in text}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def train_a_chain():
    """A loop of one's own: 1cycle, ABEL and averaging on a noisy line."""
    plan = js.Plan((js.Phase(epochs=10, batch_size=20),), num_examples=200)
    lr = plan.schedule(js.OneCycle(0.1, duration=10))
    tx = optax.chain(
        optax.add_decayed_weights(1e-4),
        optax.sgd(lr, momentum=0.9),
        js.scale_by_abel(0.5, at=plan.is_epoch_start),
        js.average_params(lambda step: step >= plan.total_steps // 2),
    )
    w = jnp.zeros(4)
    state = tx.init(w)
    x = np.random.default_rng(0).normal(size=(plan.total_steps, 20, 4)).astype(np.float32)

    @jax.jit
    def update(w, state, x):
        gradient = jax.grad(lambda w: jnp.mean((x @ w - x.sum(axis=1)) ** 2))(w)
        updates, state = tx.update(gradient, state, w)
        return optax.apply_updates(w, updates), state

    for batch in x:
        w, state = update(w, state, batch)
    np.testing.assert_allclose(js.averaged_params(state, w), np.ones(4), atol=0.05)


def use_the_rest():
    """A range test of one's own step, the noise scale, a trade, and data in memory."""
    batches = np.random.default_rng(0).normal(size=(200, 16, 9))

    def step(w, batch, lr):
        loss, gradient = jax.value_and_grad(
            lambda w: jnp.mean((batch[:, :8] @ w - batch.sum(axis=1)) ** 2)
        )(w)
        return w - lr * gradient, loss

    curve = js.range_test(step, jnp.zeros(8), list(batches), low=1e-4, high=10.0)
    assert js.suggest(curve).maximum is not None
    assert js.noise_scale(0.1, batch_size=128, num_examples=50_000) > 0
    js.trade(js.Step(0.4, every=1, factor=0.25), batch_size=10, epochs=3, num_examples=1000)
    js.compat.torch.StepLR(0.1, step_size=30)
    assert len(Synthetic(num_train=64, num_test=32).load().train) == 64
    records = Streamed(Synthetic(num_train=64, num_test=32)).load().train
    with BatchReader(records, np.arange(64), None, batch_size=8, seed=0) as reader:
        assert len(list(reader)) == 8


def check_missing_extras():
    """What needs more than the core says which extra brings it, and how."""
    for part, extra in EXTRAS.items():
        name = f"jaxsched.{part}"
        names_extra(name, extra, lambda name=name: importlib.import_module(name))
    tracking = importlib.import_module("jaxsched.tracking")
    names_extra("jaxsched.tracking", "train", lambda: tracking.record_run)
    names_extra("A lock on a file", "train", lambda: js.recorder)
    names_extra("plot", "plot", lambda: js.plot(js.Constant(0.1), 10))
    names_extra("Digits", "train", lambda: Digits().load())
    command = [sys.executable, "-m", "jaxsched.cli"]
    result = subprocess.run([*command, "train", "x.py"], capture_output=True, text=True)
    assert result.returncode == 2, result
    start = "error: The jaxsched command needs tyro, which the extra [train] brings: pip install"
    assert result.stderr.startswith(start), result.stderr
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"jaxsched {js.__version__}\n"


def names_extra(user, extra, use):
    try:
        use()
    except ImportError as error:
        end = f"which the extra [{extra}] brings: pip install 'jaxsched[{extra}]'"
        text = str(error)
        assert text.startswith(f"{user} needs ") and text.endswith(end), text
    else:
        raise AssertionError(f"{user} asked for nothing.")


def main():
    packages = check_packages()
    assert js.__version__ == metadata.version("jaxsched")
    train_a_chain()
    use_the_rest()
    check_missing_extras()
    print(f"the core works with {', '.join(packages)}")


if __name__ == "__main__":
    main()
