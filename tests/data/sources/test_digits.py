import numpy as np
from sklearn.datasets import load_digits

from jaxsched.data import Digits


def test_the_digits_are_scikit_learns_and_the_last_sixth_of_each_class_is_for_testing():
    scans = load_digits()
    dataset = Digits().load()
    train, test = [], []
    for digit in range(10):
        places = [place for place, label in enumerate(scans.target) if label == digit]
        cut = len(places) - -(-len(places) // 6)
        train += places[:cut]
        test += places[cut:]
    for split, places in (dataset.train, sorted(train)), (dataset.test, sorted(test)):
        np.testing.assert_array_equal(split.labels, scans.target[places])
        # 255/16 = 15.9375: rounding keeps the 17 values apart and dividing brings them back.
        np.testing.assert_array_equal(np.rint(split.images[..., 0] / 15.9375), scans.images[places])
    assert {dataset.train.images.min(), dataset.train.images.max()} == {0, 255}
    assert dataset.train.images.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int32
    assert (dataset.name, dataset.evaluated_on, dataset.num_classes) == ("digits", "test", 10)
    np.testing.assert_allclose(dataset.mean, (dataset.train.images / 255).mean(), rtol=1e-12)


def test_a_validation_share_comes_out_of_the_training_digits():
    whole, part = Digits().load(), Digits(validation=0.2).load()
    assert part.evaluated_on == "validation"
    assert len(part.train) + len(part.test) == len(whole.train)
    counts = np.bincount(whole.train.labels)
    np.testing.assert_array_equal(np.bincount(part.test.labels), -(-counts // 5))
    assert part.mean != whole.mean  # measured on what is trained on
