"""The real data that needs no download: scikit-learn's scans of handwritten digits."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from jaxsched.data.dataset import Source
from jaxsched.data.images import ImageDataset, Images, channel_statistics
from jaxsched.data.split import check_share, evaluation_split, last_of_each_class
from jaxsched.data.transforms.augment import Augment
from jaxsched.extras import require_extra


@dataclass(frozen=True)
class Digits(Source):
    """1,797 scans of handwritten digits, 8×8, grey, 10 classes; needs no files and no network.

    The last sixth of each class in file order is the test split, which leaves 1,493 examples to
    train on and 304 to test on. The scans' values, 0 ... 16, become round(value · 255 / 16).

    Attributes:
        validation: the share of the training examples to evaluate on instead of the test split.

    Raises:
        ValueError: when `validation` is outside [0, 1).

    Source:
        Alpaydin and Kaynak, "Optical recognition of handwritten digits" (UCI, 1998), the test part,
        which comes with scikit-learn.

    Example:
        >>> from jaxsched.data import Digits
        >>> digits = Digits().load()
        >>> digits.train.images.shape, len(digits.test)
        ((1493, 8, 8, 1), 304)
    """

    validation: float = 0.0

    def __post_init__(self):
        check_share("Digits", self.validation)

    @property
    def augment(self) -> Augment:
        """A crop after padding by one of the 8 pixels; a digit must not be flipped."""
        return Augment(pad=1, flip=False)

    def load(self) -> ImageDataset:
        """Reads the scans from the installed scikit-learn."""
        require_extra("Digits", "train", "sklearn")
        from sklearn.datasets import load_digits

        scans: Any = load_digits()
        images = np.rint(scans.images * (255 / 16)).astype(np.uint8)[..., None]
        labels = scans.target.astype(np.int32)
        last = last_of_each_class(labels, Fraction(1, 6))
        train = Images(images[~last], labels[~last])
        test = Images(images[last], labels[last])
        train, test, evaluated_on = evaluation_split(train, test, self.validation)
        mean, std = channel_statistics(train.images)
        names = tuple(str(digit) for digit in range(10))
        return ImageDataset("digits", train, test, evaluated_on, names, mean, std)
