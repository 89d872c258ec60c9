"""The pod on paper: what is counted, against known figures; what is computed, in closed form."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import jaxsched as js
from jaxsched.models import RESNET50, CifarResNet


@pytest.fixture(scope="module")
def pod(load_experiment):
    return load_experiment("performance/pod")


@pytest.fixture(scope="module")
def work(pod):
    return pod.resnet50()


def layers():
    """ResNet-50's convolutions, as table 1 of its paper has them: (multiply-adds, outputs)."""

    def convolution(side, size, before, after):
        return side**2 * size**2 * before * after, side**2 * after

    yield convolution(112, 7, 3, 64)
    before = 64
    for blocks, narrow, side in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        wide = 4 * narrow
        for block in range(blocks):
            # The 3×3 convolution has the stride, so the 1×1 before it sees the larger image.
            halved = block == 0 and narrow > 64
            yield convolution(2 * side if halved else side, 1, before, narrow)
            yield convolution(side, 3, narrow, narrow)
            yield convolution(side, 1, narrow, wide)
            if block == 0:
                yield convolution(side, 1, before, wide)
            before = wide


def test_work_is_counted_right(work):
    multiply_adds, outputs = zip(*layers(), strict=True)
    forward = sum(multiply_adds) + 2048 * 1000
    assert forward / 1e9 == pytest.approx(4.09, abs=0.005)  # as torchvision and timm print it
    assert work.flop == 2 * (3 * forward - multiply_adds[0])
    assert work.elements == sum(outputs)
    assert work.norms == len(outputs) == 53
    assert work.parameters == 25_557_032  # torchvision's


def test_gradient_makes_two_more_products_a_layer(pod, work):
    """As its own jaxpr has them, on CPU the first layer's input gradient too."""
    model = RESNET50.build(1000)
    variables = jax.eval_shape(lambda key: model.init(key, (224, 224, 3)), jax.random.key(0))
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)

    def loss(params, stats, image):
        return model.eval_logits({"params": params, "batch_stats": stats}, image).sum()

    arguments = variables["params"], variables["batch_stats"], image
    jaxpr = jax.make_jaxpr(jax.grad(loss))(*arguments).jaxpr
    names = [equation.primitive.name for equation in pod.equations(jaxpr)]
    # On CPU, the kernel gradients of 1 × 1 convolutions are products of matrices.
    products = names.count("conv_general_dilated") + names.count("dot_general")
    assert products == 3 * (53 + 1)


def test_a_batch_norm_is_reduced_once_forward_and_once_backward(pod):
    model = CifarResNet(depth=8, width=4).build(10, axis_name="replicas")
    variables = jax.eval_shape(lambda key: model.init(key, (8, 8, 3)), jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)

    def loss(params, stats, images):
        keys = jax.random.split(jax.random.key(0), 2)
        variables = {"params": params, "batch_stats": stats}
        return model.train_logits(variables, images, keys)[0].sum()

    traced = jax.make_jaxpr(jax.grad(loss), axis_env=[("replicas", 2)])
    jaxpr = traced(variables["params"], variables["batch_stats"], images).jaxpr
    sums = [e for e in pod.equations(jaxpr) if e.primitive.name == "psum"]
    norms = len(jax.tree.leaves(variables["batch_stats"])) // 2
    assert len(sums) == 2 * norms


@pytest.mark.parametrize("chips", [1, 8, 32, 64, 128, 256])
def test_slices_are_those_that_can_be_rented(pod, chips):
    slice_ = pod.SLICES[chips]
    assert slice_.num_chips == chips
    assert slice_.num_hosts == max(1, chips // 8)


def test_pod_has_the_published_all_reduce_bandwidth(pod):
    """51.2 TB/s over a v5e pod, 340 TB/s over a v3 pod; four links a chip."""
    assert 256 * 4 * pod.V5E.link_bandwidth == pytest.approx(51.2e12)
    assert 1024 * 4 * pod.V3.link_bandwidth == pytest.approx(340e12)


def test_one_chip_reduces_nothing(pod, work):
    update = pod.update_of(work, pod.SLICES[1], 64)
    assert update.gradient == update.norms == update.reduced == 0


def test_all_reduce_in_closed_form(pod):
    # 16 × 16 torus: 8 hops to the farthest row and 8 to the farthest column, there and back.
    assert pod.SLICES[256].hops == 32
    assert pod.SLICES[8].hops == 2 * (1 + 3)
    expected = 2 * 255 / 256 * 102e6 / 200e9 + 32e-6
    assert pod.all_reduce_seconds(pod.SLICES[256], 102e6) == pytest.approx(expected)
    expected = 2 * 7 / 8 * 102e6 / 100e9 + 8e-6
    assert pod.all_reduce_seconds(pod.SLICES[8], 102e6) == pytest.approx(expected)


def test_compute_is_the_larger_of_arithmetic_and_traffic(pod, work):
    chip = pod.V5E
    starved = dataclasses.replace(chip, memory_bandwidth=1e9)
    arithmetic = work.flop / (pod.UTILISATION * chip.peak)
    traffic = pod.PASSES * 2 * work.elements / 1e9
    fed = dataclasses.replace(chip, memory_bandwidth=1e15)
    assert pod.compute_seconds(work, fed, 1) == pytest.approx(arithmetic)
    assert pod.compute_seconds(work, starved, 1) == pytest.approx(traffic)


def test_an_update_by_hand(pod, work):
    """8,192 images on the whole pod: 32 a chip, bound by memory traffic."""
    update = pod.update_of(work, pod.SLICES[256], 8192)
    gradient = 4 * 25_557_032
    assert update.compute == pytest.approx(32 * 14 * 2 * 11_113_984 / 819e9)
    assert update.fixed == pytest.approx(0.2e-3 + 5 * gradient / 819e9)
    assert update.gradient == pytest.approx(2 * 255 / 256 * gradient / 200e9 + 32e-6)
    assert update.norms == pytest.approx(2 * 53 * 32e-6)
    assert update.waiting == 0
    assert update.seconds == pytest.approx(sum(update))


@pytest.mark.parametrize("chips", [8, 256])
def test_a_doubled_batch_doubles_compute_and_nothing_else(pod, work, chips):
    once, twice = (pod.update_of(work, pod.SLICES[chips], 64 * chips * k) for k in (1, 2))
    assert twice == once._replace(compute=2 * once.compute)


@pytest.mark.parametrize("chips", [8, 32, 256])
def test_efficiency_grows_with_the_batch_to_one(pod, work, chips):
    found = [pod.efficiency(work, pod.SLICES[chips], chips * 4**power) for power in range(12)]
    assert found == sorted(found)
    assert 0 < found[0] < 0.6
    assert 0.9999 < found[-1] <= 1
    assert pod.efficiency(work, pod.SLICES[1], 8) == 1


def test_slow_hosts_hold_the_chips_up(pod, work):
    slice_ = dataclasses.replace(pod.SLICES[32], decoded=1000)
    update = pod.update_of(work, slice_, 4096)
    assert update.waiting > 0
    assert 4096 / update.seconds == pytest.approx(4 * 1000)


def test_memory_is_less_than_autodiff_keeps_without_a_compiler(pod, work):
    """A floor: what is kept in bf16; above it stands what autodiff saves before anything is fused.

    The weights come first: 25,557,032 in float32, three times.
    """
    assert pod.memory_bytes(work, 0) == 3 * 25_557_032 * 4
    model = RESNET50.build(1000, dtype=jnp.bfloat16)
    variables = jax.eval_shape(lambda key: model.init(key, (224, 224, 3)), jax.random.key(0))
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))

    def saved(variables, images, keys):
        def logits(params):
            return model.train_logits(variables | {"params": params}, images, keys)[0]

        return jax.vjp(logits, variables["params"])[1]

    leaves = jax.tree.leaves(jax.eval_shape(saved, variables, images, keys))
    # Of the examples alone: the weights that a layer saves are counted above.
    of_examples = [leaf for leaf in leaves if leaf.shape[:1] == (2,)]
    everything = sum(leaf.size * leaf.dtype.itemsize for leaf in of_examples) / 2
    kept = pod.memory_bytes(work, 1) - pod.memory_bytes(work, 0)
    assert 2 * work.elements < kept < everything


def test_plans_have_the_update_counts_of_the_paper(pod):
    counts = {
        name: js.Plan(phases, pod.NUM_TRAIN).total_steps for name, phases in pod.PLANS.items()
    }
    assert counts["8,192, decay the rate"] == 14_076  # "just over 14,000"
    assert counts["8,192 → 65,536"] == 5_865  # "under 6,000"
    assert counts["16,384 → 65,536"] == 3_519
    assert counts["32,768 → 65,536"] == 2_346  # "under 2,500"


def test_plan_time_is_updates_times_seconds(pod, work):
    phases = (js.Phase(30, 8192), js.Phase(60, 65_536))
    slices = {8192: pod.SLICES[32], 65_536: pod.SLICES[256]}
    before = 4692 * pod.update_of(work, slices[8192], 8192).seconds
    after = 1173 * pod.update_of(work, slices[65_536], 65_536).seconds
    minutes, hours = pod.minutes_and_chip_hours(work, phases, slices)
    assert minutes == pytest.approx((before + after) / 60)
    assert hours == pytest.approx((32 * before + 256 * after) / 3600)


def test_growing_the_slice_saves_time_at_the_same_cost(pod, work):
    """The paper's point: parallelism, not less work. What the chips do is the same."""
    decayed, grown = pod.PLANS["8,192, decay the rate"], pod.PLANS["8,192 → 65,536"]
    slow, cost = pod.minutes_and_chip_hours(work, decayed, pod.growing(decayed))
    fast, same = pod.minutes_and_chip_hours(work, grown, pod.growing(grown))
    assert fast < slow / 2
    assert same == pytest.approx(cost, rel=0.02)


def test_published_runs_are_met_within_a_factor_of_two(pod, work):
    """Never slower than measured: the formula is a bound, as far as these two can tell."""
    assert all(1 <= ratio < 2 for ratio in pod.published_ratios(work).values())
