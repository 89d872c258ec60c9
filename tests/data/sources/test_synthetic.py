import dataclasses

import numpy as np
import pytest

from jaxsched.data import Synthetic


def nearest_mean_accuracy(dataset):
    """A classifier with nothing to tune: the class whose mean training image is nearest."""
    train = dataset.train.images.reshape(len(dataset.train), -1) / 255.0
    test = dataset.test.images.reshape(len(dataset.test), -1) / 255.0
    labels = range(dataset.num_classes)
    means = np.stack([train[dataset.train.labels == label].mean(axis=0) for label in labels])
    distances = ((test[:, None] - means[None]) ** 2).sum(axis=2)
    return (distances.argmin(axis=1) == dataset.test.labels).mean()


def test_it_can_be_learnt_and_noise_makes_it_harder():
    assert nearest_mean_accuracy(Synthetic().load()) > 0.99
    assert nearest_mean_accuracy(Synthetic(noise=5.0).load()) < 0.9


def test_shapes_and_equal_classes():
    dataset = Synthetic(num_train=43, num_test=7, image_size=5, channels=1, num_classes=4).load()
    assert dataset.train.images.shape == (43, 5, 5, 1)
    assert dataset.test.images.shape == (7, 5, 5, 1)
    assert sorted(np.bincount(dataset.train.labels)) == [10, 11, 11, 11]
    assert dataset.num_classes == 4


def test_the_seed_decides():
    first, again, other = (Synthetic(seed=seed).load().train for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.images, again.images)
    assert (first.images != other.images).mean() > 0.9


@pytest.mark.parametrize(
    "field", ["num_train", "num_test", "image_size", "channels", "num_classes"]
)
def test_counts_below_one_are_refused(field):
    with pytest.raises(ValueError, match=f"{field}=0"):
        dataclasses.replace(Synthetic(), **{field: 0})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise", -0.1),
        ("noise", float("inf")),
        ("noise", "much"),
        ("channels", 2.5),
        ("image_size", None),
        ("seed", -1),
    ],
)
def test_fields_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ValueError, match=rf"Synthetic needs {field} .*got {field}={value!r}"):
        Synthetic(**{field: value})
