"""The example of transfer: its data, and that a short pretraining already helps."""

import numpy as np
import pytest


def test_some_digits_are_chosen_and_turned(load_experiment):
    """Of each class so many images, whose pixels are those of the whole set."""
    some = load_experiment("transfer").SomeDigits
    few, turned = some((7, 8, 9), per_class=3, draw=1).load(), some((7, 8, 9), turned=True).load()
    assert np.bincount(few.train.labels).tolist() == [3, 3, 3]
    assert few.class_names == ("7 turned 0°", "8 turned 0°", "9 turned 0°")
    assert turned.num_classes == 12 and len(turned.test) == 4 * len(few.test)
    count = len(few.test)
    assert np.array_equal(turned.test.images[:count], few.test.images)
    quarter = np.rot90(few.test.images[0], 1)
    assert np.array_equal(turned.test.images[count], quarter)
    assert turned.test.labels[count] == few.test.labels[0] + 3


@pytest.mark.slow
def test_a_pretrained_body_helps_where_there_is_one_image_a_class(load_experiment, tmp_path):
    transfer = load_experiment("transfer")
    transfer.pretrain(tmp_path / "run", updates=600)
    scratch, slower = (
        np.mean([transfer.accuracy(tmp_path / "run", way, 1, draw) for draw in range(4)])
        for way in ("from scratch", "pretrained body, 10 times slower")
    )
    assert slower > scratch
