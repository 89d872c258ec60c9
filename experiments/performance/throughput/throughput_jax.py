"""The JAX contestants of throughput.py: plain Flax and Optax, and this package's `Program`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState
from throughput_networks import NETWORKS, Architecture
from throughput_program import steps_of
from throughput_worker import Contestant, Job, serve

import jaxsched as js
from jaxsched.data import Augment, Synthetic
from jaxsched.experiment import Experiment, load_module
from jaxsched.tasks import ImageClassification
from jaxsched.tracking import environment
from jaxsched.train import Program, split_cpu

EVERYTHING = load_module(Path(__file__).parents[1] / "transform_cost.py").EVERYTHING
_BARE = js.SGD(js.Constant(0.01), momentum=0.9, weight_decay=5e-4)


@dataclasses.dataclass(frozen=True)
class FlaxLayers:
    """Flax's own layers, to be used within a compact module."""

    dtype: Any
    train: bool

    def conv(self, name, x, features, side, stride=1):
        """See `Layers`."""
        padding = ((side // 2, side // 2),) * 2
        strides = (stride, stride)
        return nn.Conv(
            features, (side, side), strides, padding, use_bias=False, dtype=self.dtype, name=name
        )(x)

    def norm(self, name, x):
        """See `Layers`."""
        return nn.BatchNorm(not self.train, momentum=0.9, dtype=self.dtype, name=name)(x)

    def relu(self, x):
        """See `Layers`."""
        return nn.relu(x)

    def thin_shortcut(self, x, features, stride):
        """See `Layers`."""
        x = x[:, ::stride, ::stride]
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))

    def max_pool(self, x):
        """See `Layers`."""
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))  # pyright: ignore

    def classify(self, x, num_classes):
        """See `Layers`."""
        return nn.Dense(num_classes, name="head")(x.mean(axis=(1, 2), dtype=jnp.float32))

    def num_channels(self, x):
        """See `Layers`."""
        return x.shape[-1]


class FlaxNetwork(nn.Module):
    """A network of the comparison as a Flax module."""

    architecture: Architecture
    num_classes: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> jax.Array:
        """Logits."""
        return self.architecture(FlaxLayers(self.dtype, train), images, self.num_classes)


def plain_flax(job: Job) -> Contestant:
    """Prepares a step as Flax's examples write it: jitted, of a `TrainState`, the batch given."""

    class State(TrainState):
        batch_stats: Any

    entry = NETWORKS[job.network]
    model = FlaxNetwork(entry.architecture, entry.num_classes, jnp.dtype(job.precision))
    shape = (job.batch_size, entry.image_size, entry.image_size, 3)
    images = jax.random.normal(jax.random.key(0), shape, job.precision)
    labels = jnp.arange(job.batch_size) % entry.num_classes
    variables = jax.jit(model.init, static_argnums=2)(jax.random.key(1), images[:1], False)
    tx = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.01, momentum=0.9))
    state = State.create(apply_fn=model.apply, tx=tx, **variables)

    def step(state, images, labels):
        def loss(params):
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, updated = state.apply_fn(variables, images, True, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean(), updated["batch_stats"]

        (value, batch_stats), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=grads, batch_stats=batch_stats), value

    jitted = jax.jit(step, donate_argnums=0)

    def steps(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, value = jitted(state, images, labels)
        jax.block_until_ready(value)

    return Contestant(steps, _facts(job, state.params, num_devices=1), _device_memory)


def program(job: Job, augment: Augment, **fields: Any) -> Contestant:
    """Prepares an experiment's `Program`: many updates a dispatch, batches gathered on device."""
    entry = NETWORKS[job.network]
    updates = 64 if entry.image_size == 32 else 4  # an epoch of the data set, and a dispatch
    experiment = Experiment(
        name="throughput",
        task=ImageClassification(
            model=entry.ours,
            data=Synthetic(
                updates * job.batch_size, image_size=entry.image_size, num_classes=entry.num_classes
            ),
            augment=augment,
        ),
        phases=(js.Phase(epochs=1000, batch_size=job.batch_size),),
        precision=job.precision,  # pyright: ignore[reportArgumentType]
        **fields,
    )
    run = Program(experiment, experiment.task.data.load())
    state = run.init(0)
    facts = _facts(job, state.params, num_devices=len(run.driver.devices))
    return Contestant(steps_of(run, state, updates), facts, _device_memory)


def bare(job: Job) -> Contestant:
    """Prepares jaxsched with the same task: constant hyper-parameters, no augmentation."""
    return program(job, Augment(pad=0, flip=False), optimizer=_BARE)


def everything(job: Job) -> Contestant:
    """Prepares jaxsched with all hyper-parameters scheduled, every transform and augmentation."""
    return program(job, Augment(), optimizer=EVERYTHING, weight_norms=True)


def train_flop(job: Job) -> int:
    """Counts FLOP of an update for each image: 2 · (3 · MAC − the first layer's input gradient).

    MAC are the multiply-adds of convolutions and matrix products in the forward pass, padding
    included. Each of the two gradients takes as many again; that for the images is not needed.
    """
    entry = NETWORKS[job.network]
    model = FlaxNetwork(entry.architecture, entry.num_classes)
    image = jax.ShapeDtypeStruct((1, entry.image_size, entry.image_size, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, False), image)
    traced = jax.make_jaxpr(lambda v, x: model.apply(v, x, False))(variables, image)
    counts = [count for count in map(_multiply_adds, traced.eqns) if count]
    return 2 * (3 * sum(counts) - counts[0])


def _multiply_adds(equation: Any) -> int:
    """Counts the multiply-adds of one equation of a traced network."""
    output = equation.outvars[0].aval.size
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        return output * kernel[0] * kernel[1] * kernel[2]
    if equation.primitive.name == "dot_general":
        return output * equation.invars[1].aval.shape[0]
    return 0


def _facts(job: Job, params: Any, num_devices: int) -> dict[str, Any]:
    return {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "train_flop": train_flop(job),
        "device": jax.local_devices()[0].device_kind,
        "environment": environment(num_devices),
    }


def _device_memory() -> int | None:
    stats = jax.local_devices()[0].memory_stats()  # a CPU has none
    return stats and stats["peak_bytes_in_use"]


CONTESTANTS: dict[str, Callable[[Job], Contestant]] = {
    "flax": plain_flax,
    "jaxsched": bare,
    "jaxsched_everything": everything,
}


def prepare(job: Job) -> Contestant:
    """Prepares the job's contestant; a `Program` splits a CPU as the command does."""
    if job.contestant != "flax":
        split_cpu()
    return CONTESTANTS[job.contestant](job)


if __name__ == "__main__":
    serve(prepare)
