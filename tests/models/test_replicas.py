"""One train step, on one device and on four: equal, and provably without divergence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsched.models import (
    BatchNorm,
    BottleneckResNet,
    CifarResNet,
    GroupNorm,
    PyramidNet,
    ResNet,
    ShakeShake,
    WideResNet,
)

AXIS = "devices"
MESH = Mesh(jax.devices(), (AXIS,))
EXAMPLES, CLASSES, SHAPE = 8, 3, (8, 8, 1)


def updates(network, axis_name):
    """Three updates of SGD in a loop: (variables, images, labels, keys) -> variables."""
    model = network.build(CLASSES, axis_name=axis_name)

    def update(variables, images, labels, keys):
        def loss(params):
            logits, batch_stats = model.train_logits({**variables, "params": params}, images, keys)
            likelihood = jax.nn.log_softmax(logits) * jax.nn.one_hot(labels, CLASSES)
            return -likelihood.sum(-1).mean(), batch_stats

        params = variables["params"]
        if axis_name is None:
            grads, batch_stats = jax.grad(loss, has_aux=True)(params)
        else:
            local = lax.pcast(params, axis_name, to="varying")
            grads, batch_stats = jax.grad(loss, has_aux=True)(local)
            grads = lax.pmean(grads, axis_name)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        return {"params": params, "batch_stats": batch_stats}

    def run(variables, images, labels, keys):
        return lax.fori_loop(0, 3, lambda _, v: update(v, images, labels, keys), variables)

    return run


def sharded(network):
    """The same updates, rejected unless what comes out is the same on all devices."""
    split, same = PartitionSpec(AXIS), PartitionSpec()
    return jax.jit(
        jax.shard_map(
            updates(network, AXIS),
            mesh=MESH,
            in_specs=(same, split, split, split),
            out_specs=same,
            check_vma=True,
        )
    )


def batch():
    images = jax.random.normal(jax.random.key(1), (EXAMPLES, *SHAPE))
    labels = jnp.arange(EXAMPLES) % CLASSES
    return images, labels, jax.random.split(jax.random.key(2), EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [ResNet(stages=(1, 1), width=4), PyramidNet(8, 6, shake_drop=0.9)],
    ids=repr,
)
def test_four_devices_do_what_one_does(draw_variables, network):
    """Batch norm is over the global batch, so nothing depends on the split."""
    variables = draw_variables(network.build(CLASSES), SHAPE)
    alone = jax.jit(updates(network, None))(variables, *batch())
    together = sharded(network)(variables, *batch())
    split = jax.tree.map(lambda x: x.reshape(4, EXAMPLES // 4, *x.shape[1:]), batch())
    pmapped = jax.pmap(
        updates(network, AXIS), axis_name=AXIS, in_axes=(None, 0, 0, 0), out_axes=None
    )(variables, *split)
    spread = jax.device_put(batch(), NamedSharding(MESH, PartitionSpec(AXIS)))
    by_mesh = jax.jit(updates(network, None))(variables, *spread)
    for other in together, pmapped, by_mesh:
        compare = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
        jax.tree.map(compare, other, alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        CifarResNet(depth=8, width=4),
        CifarResNet(depth=8, width=4, norm=GroupNorm()),
        CifarResNet(depth=8, width=4, norm=BatchNorm(ghost=4)),  # Groups of two devices.
        WideResNet(depth=10, widen=1, dropout=0.3),
        BottleneckResNet(stages=(1, 1), width=4),
        ShakeShake(depth=8, width=4),
        PyramidNet(depth=11, alpha=6, bottleneck=True, shake_drop=0.9),
    ],
    ids=repr,
)
def test_every_network_provably_stays_the_same_on_all_devices(network):
    """Tracing is the proof: `check_vma` rejects an output that may differ between devices."""
    model = network.build(CLASSES)
    variables = jax.eval_shape(lambda key: model.init(key, SHAPE), jax.random.key(0))
    after = jax.eval_shape(sharded(network), variables, *batch())
    assert jax.tree.structure(after) == jax.tree.structure(variables)


def test_the_proof_fails_without_the_axis_name():
    network = CifarResNet(depth=8, width=4)
    variables = jax.eval_shape(
        lambda key: network.build(CLASSES).init(key, SHAPE), jax.random.key(0)
    )
    local = jax.shard_map(
        lambda variables, images, _, keys: network.build(CLASSES).train_logits(
            variables, images, keys
        )[1],
        mesh=MESH,
        in_specs=(PartitionSpec(), *(PartitionSpec(AXIS),) * 3),
        out_specs=PartitionSpec(),
    )
    with pytest.raises(ValueError, match=r"out_specs"):
        jax.eval_shape(local, variables, *batch())
