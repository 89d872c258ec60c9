"""A subset against the whole source."""

import numpy as np
import pytest

from jaxsched.data import Digits, Streamed, Subset


def test_the_first_examples_and_the_whole_test_split():
    whole, part = Digits().load(), Subset(Digits(), num_train=100).load()
    np.testing.assert_array_equal(part.train.images, whole.train.images[:100])
    np.testing.assert_array_equal(part.train.labels, whole.train.labels[:100])
    np.testing.assert_array_equal(part.test.images, whole.test.images)
    assert (part.mean, part.class_names) == (whole.mean, whole.class_names)


def test_a_validation_share_of_the_source_is_kept():
    part = Subset(Digits(validation=0.2), num_train=100).load()
    assert part.evaluated_on == "validation"


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"within 1 … 1493, .* got 1494"):
        Subset(Digits(), 1494).load()


@pytest.mark.parametrize(
    ("source", "num_train", "message"),
    [
        (Digits(), 0, "num_train as a whole number of at least 1, got num_train=0"),
        (Digits(), 1.5, "num_train=1.5"),
        (Digits, 5, "Subset needs source as a Source"),
        ("digits", 5, "source='digits'"),
    ],
)
def test_fields_that_make_no_sense_are_refused(source, num_train, message):
    with pytest.raises(ValueError, match=message):
        Subset(source, num_train)
    if num_train == 5:
        with pytest.raises(ValueError, match="Streamed needs source as a Source"):
            Streamed(source)
