"""A subset against the whole source."""

import numpy as np
import pytest

from jaxsched.data import Digits, Subset


def test_the_first_examples_and_the_whole_test_split():
    whole, part = Digits().load(), Subset(Digits(), num_train=100).load()
    np.testing.assert_array_equal(part.train.images, whole.train.images[:100])
    np.testing.assert_array_equal(part.train.labels, whole.train.labels[:100])
    np.testing.assert_array_equal(part.test.images, whole.test.images)
    assert (part.mean, part.class_names) == (whole.mean, whole.class_names)


def test_a_validation_share_of_the_source_is_kept():
    part = Subset(Digits(validation=0.2), num_train=100).load()
    assert part.evaluated_on == "validation"


@pytest.mark.parametrize("num_train", [0, 1494])
def test_more_than_there_are_is_refused(num_train):
    with pytest.raises(ValueError, match=f"within 1 … 1493, .* got {num_train}"):
        Subset(Digits(), num_train).load()
