"""Image classification: the default augmentation and the refusal of other data."""

import dataclasses

import pytest

from jaxsched.data import (
    Augment,
    Cifar10,
    Cifar100,
    Dataset,
    Digits,
    ImageFolder,
    Streamed,
    StreamedTfds,
    Subset,
    Synthetic,
    Tfds,
)
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

NONE = Augment(pad=0, flip=False)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Cifar10("data"), Augment(pad=4, flip=True)),
        (Cifar100("data"), Augment(pad=4, flip=True)),
        (Tfds("tfds:cifar10:3.0.2"), Augment(pad=4, flip=True)),
        (Digits(), Augment(pad=1, flip=False)),
        (Tfds("mnist"), NONE),
        (Synthetic(), NONE),
        (ImageFolder("images"), Augment(pad=0, flip=True)),
        (StreamedTfds("imagenet2012"), Augment(pad=0, flip=True)),
        (Subset(Streamed(Cifar10("data")), 100), Augment(pad=4, flip=True)),
        (Streamed(Subset(Digits(), 100)), Augment(pad=1, flip=False)),
    ],
    ids=str,
)
def test_data_bring_the_augmentation_that_suits_them(source, expected):
    task = ImageClassification(CifarResNet(depth=8), source)
    assert task.augment == expected
    given = ImageClassification(CifarResNet(depth=8), source, Augment(pad=2))
    assert given.augment == Augment(pad=2)
    # A task that is changed keeps its augmentation, unless none is given again.
    other = dataclasses.replace(task, data=Digits())
    assert other.augment == expected
    assert dataclasses.replace(other, augment=None).augment == Augment(pad=1, flip=False)


def test_data_without_images_are_refused():
    task, digits = ImageClassification(CifarResNet(depth=8), Digits()), Digits().load()
    plain = Dataset("numbers", digits.train, digits.test, "test")
    with pytest.raises(ValueError, match=r"needs images, which Digits\(.*\) does not have"):
        task.build(plain)
