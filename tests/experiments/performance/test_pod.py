"""The pod on paper: counts against known ones, and times against closed forms."""

import pytest

import jaxsched as js


@pytest.fixture(scope="module")
def pod(load_experiment):
    return load_experiment("performance/pod")


@pytest.fixture(scope="module")
def updates(pod):
    return pod.compiled_updates(pod.RESULTS / "compiled.json")


def multiply_adds():
    """ResNet-50's convolutions forwards, as table 1 of its paper has them, the first one first."""
    yield 112**2 * 7**2 * 3 * 64
    before = 64
    for blocks, narrow, side in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        wide = 4 * narrow
        for block in range(blocks):
            # The 3×3 convolution has the stride, so the 1×1 before it sees the larger image.
            halved = block == 0 and narrow > 64
            yield (2 * side if halved else side) ** 2 * before * narrow
            yield side**2 * 3**2 * narrow * narrow
            yield side**2 * narrow * wide
            if block == 0:
                yield side**2 * before * wide
            before = wide
    yield 2048 * 1000


def test_the_compiled_updates_are_resnet_50s(updates):
    first, *others = multiply_adds()
    assert (first + sum(others)) / 1e9 == pytest.approx(4.09, abs=0.005)  # as timm prints it
    for size, update in updates.items():
        assert update.images == size // 256
        # The images themselves need no gradient. A compiler leaves products with padding out.
        of_image = 2 * (2 * first + 3 * sum(others))
        assert 0.94 < update.flops / update.images / of_image <= 1
        # The gradients of torchvision's 25,557,032 parameters in float32, and little else.
        assert 4 * 25_557_032 <= update.exchanged < 1.1 * 4 * 25_557_032


def test_an_all_reduce_in_closed_form(pod):
    update = pod.Update(32, 10**12, 5e-3, 8e-3, 2e9, exchanges=3, exchanged=102 * 10**6)
    # A torus of 16 × 16: 8 hops to the farthest row and 8 to the farthest column, there and back.
    torus = 2 * 255 / 256 * 102e6 / 200e9 + 3 * 32e-6
    assert update.reducing(256) == pytest.approx(torus)
    # A mesh of 4 × 8 has two links at its corners, from which 3 and 7 hops lead to the other end.
    assert update.reducing(32) == pytest.approx(2 * 31 / 32 * 102e6 / 100e9 + 3 * 20e-6)
    assert update.at_least(256) == pytest.approx(8e-3 + torus)
    assert update.at_share(0.5, 256) == pytest.approx(10e-3 + torus)


def test_a_pod_has_the_published_bandwidth(pod):
    assert 256 * 4 * pod.LINK_BANDWIDTH == 51.2e12  # bytes/s of an all-reduce, of the data sheet


def test_plans_have_the_update_counts_of_the_paper(pod):
    counts = [js.Plan(phases, pod.NUM_TRAIN).total_steps for phases in pod.PLANS.values()]
    # "Just over 14,000", …, "under 6,000", …, "under 2,500".
    assert counts == [14_076, 9384, 7038, 5865, 3519, 2346]


def test_minutes_are_updates_times_seconds(pod):
    seconds = {8192: 0.03, 65_536: 0.2}
    found = pod.minutes(pod.PLANS["8,192 → 65,536"], seconds.__getitem__)
    assert found == pytest.approx((4692 * 0.03 + 1173 * 0.2) / 60)


def test_the_page_is_that_of_the_compiled_figures(pod, updates):
    assert (pod.RESULTS / "pod.md").read_text(encoding="utf-8") == pod.page(updates)


def test_the_shares_of_the_published_runs_are_below_their_peak(pod, updates):
    """A 256-chip run at 480,000 images a second: 24 GFLOP an image of 256 × 123 TFLOP/s."""
    of_pod, of_four_pods = pod.shares(updates[8192])
    assert of_pod == pytest.approx(480e3 * 24e9 / (256 * 123e12), rel=0.05)
    assert of_four_pods == pytest.approx(1050e3 * 24e9 / (1024 * 123e12), rel=0.05)
