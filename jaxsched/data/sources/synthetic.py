"""Synthetic images: noise around one prototype image a class."""

from dataclasses import dataclass

import numpy as np

from jaxsched.data.dataset import Source
from jaxsched.data.fields import check_whole, is_number
from jaxsched.data.images import ImageDataset, Images, channel_statistics


@dataclass(frozen=True)
class Synthetic(Source):
    """Noisy copies of one random prototype image a class: learnable, of any size, quickly made.

    Formula:
        image = clip(prototype[label] + noise · ξ, 0, 1),   prototype ~ U(0, 1), ξ ~ N(0, 1)

    for every pixel and channel, rounded to uint8. The classes are as equal in number as possible.
    For tests and for measuring throughput: an accuracy on it says nothing about real images.

    Attributes:
        num_train: the number of training examples.
        num_test: the number of test examples.
        image_size: height and width in pixels.
        channels: 1 for grey, 3 for colour.
        num_classes: the number of classes.
        noise: standard deviation of the noise as a share of the full range. At 0.25 the classes are
            easy to distinguish; the more pixels, the more noise it takes to confuse them.
        seed: the seed of the prototypes and the noise.

    Raises:
        ValueError: when a count is below 1, the noise or the seed negative, or a field no number.

    Example:
        >>> from jaxsched.data import Synthetic
        >>> Synthetic(num_train=1000, image_size=32).load().train.images.shape
        (1000, 32, 32, 3)
    """

    num_train: int = 512
    num_test: int = 128
    image_size: int = 8
    channels: int = 3
    num_classes: int = 10
    noise: float = 0.25
    seed: int = 0

    def __post_init__(self):
        for field in ("num_train", "num_test", "image_size", "channels", "num_classes"):
            check_whole("Synthetic", field, getattr(self, field))
        check_whole("Synthetic", "seed", self.seed, least=0)
        if not is_number(self.noise) or self.noise < 0:
            raise ValueError(
                f"Synthetic needs noise as a number of at least 0, got noise={self.noise!r}."
            )

    @property
    def known_num_train(self) -> int:
        """See `Source.known_num_train`."""
        return self.num_train

    def load(self) -> ImageDataset:
        """Draws the prototypes, then the two splits."""
        random = np.random.default_rng(self.seed)
        shape = (self.num_classes, self.image_size, self.image_size, self.channels)
        prototypes = random.random(shape, np.float32)
        train = self._draw(random, prototypes, self.num_train)
        test = self._draw(random, prototypes, self.num_test)
        mean, std = channel_statistics(train.images)
        names = tuple(f"class {label}" for label in range(self.num_classes))
        return ImageDataset("synthetic", train, test, "test", names, mean, std)

    def _draw(self, random: np.random.Generator, prototypes: np.ndarray, count: int) -> Images:
        """Draws `count` noisy copies in random order."""
        labels = random.permutation(np.arange(count, dtype=np.int32) % self.num_classes)
        images = np.empty((count, *prototypes.shape[1:]), np.uint8)
        # One image at a time, so that the float32 noise of the whole set is never in memory.
        for number, label in enumerate(labels):
            noise = random.standard_normal(prototypes.shape[1:], np.float32)
            noisy = prototypes[label] + np.float32(self.noise) * noise
            images[number] = np.rint(255 * np.clip(noisy, 0, 1))
        return Images(images, labels)
