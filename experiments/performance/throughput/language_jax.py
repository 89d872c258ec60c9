"""The JAX contestants of language.py: plain Flax and Optax, and this package's `Program`."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState
from language_networks import BETAS, LEARNING_RATE, NETWORKS, VOCABULARY, WEIGHT_DECAY, Entry
from throughput_program import steps_of
from throughput_worker import Contestant, Job, serve

import jaxsched as js
from jaxsched.data import PythonDocs
from jaxsched.experiment import Experiment
from jaxsched.tasks import LanguageModel
from jaxsched.tracking import environment
from jaxsched.train import Program, split_cpu


class FlaxTransformer(nn.Module):
    """A transformer of the comparison in Flax's own parts."""

    entry: Entry

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Logits."""
        spec = self.entry.ours
        heads = (*tokens.shape, spec.heads, spec.width // spec.heads)
        angles = jnp.asarray(self.entry.angles())[None, :, None]
        mask = nn.make_causal_mask(tokens)

        def turned(x):
            a, b = jnp.split(x, 2, axis=-1)
            cos, sin = jnp.cos(angles), jnp.sin(angles)
            return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

        def dense(features, name):
            return nn.Dense(features, use_bias=False, name=name)

        embed = nn.Embed(VOCABULARY, spec.width)
        x = embed(tokens)
        for block in range(spec.depth):
            y = nn.RMSNorm()(x)
            q, k, v = (dense(spec.width, f"{n}{block}")(y).reshape(heads) for n in "qkv")
            y = nn.dot_product_attention(turned(q), turned(k), v, mask=mask)
            x = x + dense(spec.width, f"out{block}")(y.reshape(x.shape))
            y = nn.gelu(dense(spec.mlp_ratio * spec.width, f"up{block}")(nn.RMSNorm()(x)))
            x = x + dense(spec.width, f"down{block}")(y)
        return embed.attend(nn.RMSNorm()(x))


def plain_flax(job: Job) -> Contestant:
    """Prepares a step as Flax's examples write it: jitted, of a `TrainState`, the batch given."""
    entry = NETWORKS[job.network]
    model = FlaxTransformer(entry)
    shape = (job.batch_size, entry.context + 1)
    windows = jax.random.randint(jax.random.key(0), shape, 0, VOCABULARY)
    params = jax.jit(model.init)(jax.random.key(1), windows[:1, 1:])["params"]
    tx = optax.adamw(
        LEARNING_RATE,
        *BETAS,
        weight_decay=WEIGHT_DECAY,
        mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    )
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    def step(state, windows):
        def loss(params):
            logits = state.apply_fn({"params": params}, windows[:, :-1])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:])
            return losses.mean()

        value, grads = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=grads), value

    jitted = jax.jit(step, donate_argnums=0)

    def steps(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, value = jitted(state, windows)
        jax.block_until_ready(value)

    return Contestant(steps, _facts(state.params, num_devices=1), _no_device_memory)


def program(job: Job) -> Contestant:
    """Prepares an experiment's `Program`: many updates a dispatch, batches gathered on device."""
    entry = NETWORKS[job.network]
    optimizer = js.AdamW(LEARNING_RATE, *BETAS, weight_decay=WEIGHT_DECAY, decay_mask="kernels")
    experiment = Experiment(
        name="language",
        task=LanguageModel(model=entry.ours, data=PythonDocs(context=entry.context)),
        phases=(js.Phase(epochs=1000, batch_size=job.batch_size),),
        optimizer=optimizer,
    )
    run = Program(experiment, experiment.task.data.load())
    state, most = run.init(0), len(run.dataset.train) // job.batch_size
    facts = _facts(state.params, num_devices=len(run.driver.devices))
    return Contestant(steps_of(run, state, most), facts, _no_device_memory)


def _facts(params: Any, num_devices: int) -> dict[str, Any]:
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "device": jax.local_devices()[0].device_kind,
        "environment": environment(num_devices),
    }


def _no_device_memory() -> None:
    """A CPU has none."""


def prepare(job: Job) -> Contestant:
    """Prepares the job's contestant; a `Program` splits a CPU as the command does."""
    if job.contestant == "flax":
        return plain_flax(job)
    split_cpu()
    return program(job)


if __name__ == "__main__":
    serve(prepare)
