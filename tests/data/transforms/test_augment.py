import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import stats

from jaxsched.data import Augment, example_keys, normalise

KEY = jax.random.key(7)


def random_images(count, height, width, channels):
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)


def keys_of(examples, epoch=0):
    examples = jnp.asarray(examples)
    return example_keys(KEY, jnp.full(examples.shape, epoch), examples)


def crop_and_flip(image, pad, down, right, flipped):
    """Torchvision's RandomCrop(padding=pad) and RandomHorizontalFlip, step by step."""
    height, width, channels = image.shape
    padded = np.zeros((height + 2 * pad, width + 2 * pad, channels), np.uint8)
    padded[pad : pad + height, pad : pad + width] = image
    crop = padded[down : down + height, right : right + width]
    return crop[:, ::-1] if flipped else crop


@pytest.mark.parametrize(
    ("pad", "flip", "height", "width", "channels"),
    [(4, True, 32, 32, 3), (2, True, 8, 8, 1), (2, False, 5, 9, 3), (0, True, 6, 4, 2)],
)
def test_each_result_is_one_of_the_crops_and_flips_of_its_image(pad, flip, height, width, channels):
    images = random_images(40, height, width, channels)
    examples = np.array([3, 39, 0, 17, 3, 8, 21], np.int32)
    batch = jax.jit(Augment(pad, flip))(images[examples], keys_of(examples))
    assert batch.dtype == jnp.uint8
    for example, result in zip(examples, np.asarray(batch), strict=True):
        matches = [
            (down, right, flipped)
            for down in range(2 * pad + 1)
            for right in range(2 * pad + 1)
            for flipped in range(1 + flip)
            if np.array_equal(result, crop_and_flip(images[example], pad, down, right, flipped))
        ]
        assert len(matches) == 1


@pytest.mark.slow
def test_offsets_and_flips_are_uniform_and_independent():
    # Every pixel holds its own place, so that one pixel of the result shows both offsets: the
    # centre of a 9×9 image stays inside for all offsets in 0 ... 8, flipped or not.
    image = jnp.arange(81, dtype=jnp.uint8).reshape(1, 9, 9, 1)
    count = 40_000
    keys = keys_of(jnp.arange(count))
    batch = Augment(pad=4)(jnp.broadcast_to(image, (count, 9, 9, 1)), keys)[..., 0]
    place = np.asarray(batch[:, 4, 4], int)
    down, right = place // 9, place % 9
    left_neighbour = np.asarray(batch[:, 4, 3], int)
    # At the left edge the left neighbour is padding, at the right edge the flipped one's is.
    flipped = np.where(right == 0, left_neighbour == place + 1, left_neighbour != place - 1)
    counts = np.zeros((9, 9, 2))
    np.add.at(counts, (down, right, flipped.astype(int)), 1)
    assert counts.sum() == count
    assert stats.chisquare(counts.reshape(-1)).pvalue > 1e-3


@pytest.mark.slow
def test_an_example_looks_the_same_in_any_batch_and_compiled_or_not():
    images = jnp.asarray(random_images(64, 8, 8, 3))
    augment = Augment(pad=2)
    everyone = np.arange(64, dtype=np.int32)
    together = np.asarray(augment(images, keys_of(everyone)))
    some = np.array([63, 5, 17], np.int32)
    few = np.asarray(jax.jit(augment)(images[some], keys_of(some)))
    np.testing.assert_array_equal(few, together[some])


def test_an_example_looks_the_same_on_four_devices():
    images = jnp.asarray(random_images(64, 8, 8, 3))
    examples = jnp.arange(64, dtype=jnp.int32)[::-1]

    @jax.jit
    def batch(images, examples):
        keys = example_keys(KEY, jnp.ones_like(examples), examples)
        return Augment(pad=2)(images[examples], keys)

    assert jax.device_count() >= 4
    mesh = Mesh(np.array(jax.devices()[:4]), ("batch",))
    shared = batch(
        jax.device_put(images, NamedSharding(mesh, PartitionSpec())),
        jax.device_put(examples, NamedSharding(mesh, PartitionSpec("batch"))),
    )
    assert len(shared.sharding.device_set) == 4
    np.testing.assert_array_equal(np.asarray(shared), np.asarray(batch(images, examples)))


def test_the_epoch_and_the_seed_change_the_augmentation():
    images = jnp.asarray(random_images(64, 8, 8, 3))
    examples = jnp.arange(64)
    first = Augment()(images, keys_of(examples, epoch=0))
    again = Augment()(images, keys_of(examples, epoch=0))
    next_epoch = Augment()(images, keys_of(examples, epoch=1))
    other_keys = example_keys(jax.random.key(8), jnp.zeros_like(examples), examples)
    other_seed = Augment()(images, other_keys)
    np.testing.assert_array_equal(first, again)
    for other in (next_epoch, other_seed):
        same = np.asarray(first == other).all(axis=(1, 2, 3)).mean()
        assert same < 0.1  # 1 in 162 by chance


def test_keys_are_folded_first_with_the_epoch_then_with_the_example():
    keys = example_keys(KEY, jnp.array([2, 3]), jnp.array([11, 0]))
    for key, epoch, example in zip(keys, (2, 3), (11, 0), strict=True):
        wanted = jax.random.fold_in(jax.random.fold_in(KEY, epoch), example)
        assert jax.random.key_data(key).tolist() == jax.random.key_data(wanted).tolist()


def test_without_pad_and_flip_it_leaves_images_and_keys_alone():
    images = random_images(3, 8, 8, 3)
    not_keys = jnp.zeros(3)
    batch = Augment(pad=0, flip=False)(jnp.asarray(images), not_keys)
    np.testing.assert_array_equal(batch, images)


def gathers(augment, *, platform):
    """The sizes of the slices of each gather in the program for a platform."""
    images = jnp.asarray(random_images(4, 8, 8, 3))
    traced = jax.jit(augment).trace(images, keys_of(jnp.arange(4)))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    # Images alone are bytes: gathers of random numbers are not.
    found = re.findall(r'"stablehlo.gather".*slice_sizes = array<i64: ([\d, ]+)>.*xui8>,', text)
    return [tuple(map(int, sizes.split(", "))) for sizes in found]


@pytest.mark.parametrize("augment", [Augment(), Augment(flip=False), Augment(pad=0)])
@pytest.mark.parametrize("platform", ["tpu", "cuda", "rocm"])
def test_an_accelerator_gathers_no_pixels(augment, platform):
    assert gathers(augment, platform=platform) == []


def test_on_a_cpu_one_gather_crops_and_flips():
    assert gathers(Augment(), platform="cpu") == [(1, 1, 1, 3)]
    assert gathers(Augment(pad=0), platform="cpu") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pad", "flip", "shape"),
    [(0, True, (6, 4, 2)), (2, True, (5, 9, 3)), (3, False, (2, 3, 1)), (1, True, (1, 1, 1))],
)
def test_both_forms_are_the_crops_and_flips_that_were_drawn(pad, flip, shape):
    augment, images = Augment(pad, flip), random_images(5, *shape)
    examples = np.random.default_rng(1).integers(0, 5, 100)
    keys = jax.random.split(KEY, len(examples))
    ends = [2 * pad + 1, 2 * pad + 1, 1 + flip]
    draws = np.array([jax.random.randint(key, (3,), 0, jnp.array(ends)) for key in keys])
    expected = [
        crop_and_flip(images[example], pad, *draw)
        for example, draw in zip(examples, draws, strict=True)
    ]
    batch = jnp.asarray(images[examples])
    np.testing.assert_array_equal(augment(batch, keys), expected)
    for form in (augment._by_shifts, augment._by_pixels):
        found = form(batch, augment._draw(keys))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_normalise_against_float64(dtype):
    images = random_images(6, 8, 8, 3)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    result = jax.jit(lambda x: normalise(x, mean, std, dtype))(jnp.asarray(images))
    assert result.dtype == dtype
    wanted = (images / 255.0 - np.array(mean)) / np.array(std)
    # One rounding to the dtype beside float32's own few.
    np.testing.assert_allclose(
        np.asarray(result, np.float64), wanted, rtol=float(jnp.finfo(dtype).eps), atol=1e-6
    )


def test_errors_say_what_was_given():
    images = jnp.zeros((2, 8, 8, 3), jnp.uint8)
    for fields, got in (
        ({"pad": -1}, "pad=-1"),
        ({"pad": 1.5}, "pad=1.5"),
        ({"flip": "no"}, "flip='no'"),
    ):
        with pytest.raises(ValueError, match=got):
            Augment(**fields)
    with pytest.raises(ValueError, match=r"float32\[2, 8, 8, 3\]; normalise after"):
        Augment()(images.astype(jnp.float32), keys_of(jnp.arange(2)))
    with pytest.raises(ValueError, match="each of the 3 channels"):
        normalise(images, (0.5,), (0.5,))
    with pytest.raises(ValueError, match="got float32; call it only once"):
        normalise(images.astype(jnp.float32), (0.5,) * 3, (0.5,) * 3)
