"""Programs of the TPU's and the GPU's compiler, recorded by `record.py`, against closed forms."""

from pathlib import Path

import pytest

from jaxsched.ahead_of_time.hlo.facts import read_program

FOLDER = Path(__file__).parent / "recorded"


def recorded(name):
    return read_program((FOLDER / f"{name}.txt").read_text())


@pytest.mark.parametrize("name", ["tpu_convolutions", "gpu_convolutions"])
def test_products_of_a_strided_convolution_and_its_gradients(name):
    facts = recorded(name)
    # A chip has 16 of 64 images. Of a window's three places along a side of eight outputs, all but
    # the first output's first are inside the image. Forwards and two gradients cost the same.
    convolution = 2 * (16 * 128) * 64 * (8 * 3 - 1) ** 2
    head = 2 * 16 * 128 * 8192
    assert facts.flops_by_dtype == {"bf16": 3 * convolution, "f32": 3 * head}
    assert [product.is_convolution for product in facts.full_precision_products] == [False] * 3
    functions = {product.stack[0].function for product in facts.full_precision_products}
    assert functions == {"convolutions.<locals>.loss"}


@pytest.mark.parametrize("name", ["tpu_convolutions", "gpu_convolutions"])
def test_gradients_are_reduced_in_their_dtypes(name):
    reductions = {
        found.dtype: (found.kind, found.bytes, found.times) for found in recorded(name).collectives
    }
    assert reductions == {
        "bf16": ("all-reduce", 3 * 3 * 64 * 128 * 2, 1),
        "f32": ("all-reduce", 128 * 8192 * 4, 1),
    }


@pytest.mark.parametrize(
    ("name", "asynchronous"), [("tpu_updates", [False, False]), ("gpu_updates", [True, True])]
)
def test_loops_of_updates_and_of_micro_batches(name, asynchronous):
    facts = recorded(name)
    # The TPU's compiler does not write trip counts: that of the micro-batches is worked out.
    assert [loop.trips for loop in facts.loops] == [None, 3]
    assert [loop.stack[0].function for loop in facts.loops] == [
        "updates",
        "updates.<locals>.update",
    ]
    assert facts.flops == 3 * 2 * (2 * 16 * 128 * 128)
    mean, gradient = sorted(facts.collectives, key=lambda found: found.bytes)
    assert (mean.bytes, mean.times, len(mean.loops)) == (128 * 4, 3, 2)
    # Both compilers move the sum of the gradients out of the loop.
    assert (gradient.bytes, gradient.times, len(gradient.loops)) == (128 * 128 * 4, 1, 1)
    assert [mean.is_asynchronous, gradient.is_asynchronous] == asynchronous
    assert [parameter.is_aliased for parameter in facts.parameters] == [True, False, False]


def test_an_exchange_that_overlaps_counts_once():
    found = recorded("tpu_sharded").collectives
    assert [(one.kind, one.bytes, one.times) for one in found] == [
        ("all-gather", 2048 * 2048 * 2, 1)
    ] * 3
    # The first has no work to overlap with.
    assert [one.is_asynchronous for one in found] == [False, True, True]


def test_a_flip_gathers_columns_of_pixels():
    facts = recorded("tpu_flip")
    (gather,) = facts.byte_gathers
    assert (gather.slice_sizes, gather.slices) == ((1, 32, 1, 3), 128 * 32)
    assert not gather.is_loop
    assert gather.stack[0].function == "flip"
    # Three channels lie in four lanes of 128, of which 32 columns fill a quarter.
    assert [tensor.shape.padded_bytes for tensor in facts.padded] == [4 * 128 * 32 * 128] * 2


def test_a_crop_has_become_a_loop_over_the_images():
    (gather,) = recorded("tpu_crop").byte_gathers
    assert gather.is_loop
    assert (gather.slice_sizes, gather.slices, gather.times) == ((1, 32, 32, 3), 128, 1)
    assert gather.output.bytes == 128 * 32 * 32 * 3
    assert gather.stack[0].function == "crop.<locals>.one"
