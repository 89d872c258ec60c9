import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxsched.data import Cifar10, Cifar100, Digits, Images, Tfds
from jaxsched.data.split import evaluation_split, last_of_each_class


def images_of(labels):
    """Images whose first pixel is their place in the file."""
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    return Images(images, np.array(labels, np.int32))


def brute_force(labels, hundredths):
    held = []
    for label in set(labels):
        places = [place for place, other in enumerate(labels) if other == label]
        count = math.ceil(Fraction(hundredths, 100) * len(places))
        held += places[len(places) - count :]
    return sorted(held)


@settings(max_examples=100, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), hundredths=st.integers(0, 99))
def test_the_last_of_each_class_against_a_loop(labels, hundredths):
    marked = last_of_each_class(np.array(labels), hundredths / 100)
    assert np.flatnonzero(marked).tolist() == brute_force(labels, hundredths)


def test_the_share_is_the_decimal_it_is_written_as():
    assert math.ceil(0.07 * 100) == 8  # what plain floating point makes of it
    assert last_of_each_class(np.zeros(100, int), 0.07).sum() == 7


def test_a_validation_share_leaves_the_test_images_alone():
    train, test = images_of([0, 1] * 10), images_of([1, 0])
    kept, held, name = evaluation_split(train, test, 0.25)
    assert name == "validation"
    assert sorted(kept.images[:, 0, 0, 0]) == list(range(14))
    assert sorted(held.images[:, 0, 0, 0]) == list(range(14, 20))
    np.testing.assert_array_equal(held.labels, [0, 1, 0, 1, 0, 1])


def test_no_share_changes_nothing():
    train, test = images_of([0, 1]), images_of([1])
    assert evaluation_split(train, test, 0.0) == (train, test, "test")


def test_a_class_may_not_vanish_from_training():
    with pytest.raises(ValueError, match=r"every training example of class 1 \(it has 2\)"):
        evaluation_split(images_of([0] * 50 + [1] * 2), images_of([0]), 0.9)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
@pytest.mark.parametrize(
    "source",
    [
        lambda share: Digits(validation=share),
        lambda share: Cifar10("here", validation=share),
        lambda share: Cifar100("here", validation=share),
        lambda share: Tfds("mnist", validation=share),
    ],
)
def test_a_share_out_of_range_is_refused_when_it_is_written(source, share):
    with pytest.raises(ValueError, match=rf"within \[0, 1\), got validation={share}"):
        source(share)
