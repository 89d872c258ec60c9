"""CIFAR-10 and CIFAR-100 from their official files."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from jaxsched.data.dataset import Examples, Source, UnreadArrays
from jaxsched.data.fields import check_folder
from jaxsched.data.images import ImageDataset
from jaxsched.data.sources.cifar_files import Archive, read_official
from jaxsched.data.split import check_share, evaluation_split
from jaxsched.data.transforms.augment import Augment

# fmt: off
_CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)
_CIFAR100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
    "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
    "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
    "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
    "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
    "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
    "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)
# fmt: on

# The parts of an example: an image and its label.
_PARTS = (("uint8", (32, 32, 3)), ("int32", ()))

_CIFAR10 = Archive(
    name="CIFAR-10",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    images_per_train_file=10_000,
    test=("test_batch",),
    images_per_test_file=10_000,
    label_bytes=1,
    label_key="labels",
    class_names=_CIFAR10_CLASSES,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    binary_folder="cifar-10-batches-bin",
    python_folder="cifar-10-batches-py",
    binary_md5={
        "data_batch_1": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    python_md5={  # those that torchvision checks
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
)

_CIFAR100 = Archive(
    name="CIFAR-100",
    train=("train",),
    images_per_train_file=50_000,
    test=("test",),
    images_per_test_file=10_000,
    label_bytes=2,  # the coarse label, then the fine one
    label_key="fine_labels",
    class_names=_CIFAR100_CLASSES,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    binary_folder="cifar-100-binary",
    python_folder="cifar-100-python",
    binary_md5={
        "train": "6172c7755cfe09b2fe270c85cebc1b15",
        "test": "4499cfba6c016c1be1438163640a0898",
    },
    python_md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)


@dataclass(frozen=True)
class _Cifar(Source):
    """The part that the sources have in common: all but the archive."""

    folder: str
    validation: float = 0.0

    _archive: ClassVar[Archive]

    def __post_init__(self):
        name = type(self).__name__
        object.__setattr__(self, "folder", check_folder(name, "folder", self.folder))
        check_share(name, self.validation)

    @property
    def augment(self) -> Augment:
        """The usual crop after padding by 4 pixels, and the flip."""
        return Augment()

    @property
    def known_num_train(self) -> int:
        """See `Source.known_num_train`; the official files hold as many images of each class."""
        num_classes = len(self._archive.class_names)
        each = self._num_official // num_classes
        return num_classes * (each - math.ceil(Fraction(str(self.validation)) * each))

    def described(self, num_train: int | None = None) -> ImageDataset:
        """See `Source.described`."""
        held_out = self._num_official - self.known_num_train
        num_test = held_out or len(self._archive.test) * self._archive.images_per_test_file
        return self._dataset(
            UnreadArrays(self.known_num_train if num_train is None else num_train, _PARTS),
            UnreadArrays(num_test, _PARTS),
            "validation" if held_out else "test",
        )

    def load(self) -> ImageDataset:
        """Reads all files; an error names the file that is missing or damaged."""
        train, test = read_official(self._archive, self.folder)
        return self._dataset(*evaluation_split(train, test, self.validation))

    @property
    def _num_official(self) -> int:
        """The number of training images in the official files."""
        return len(self._archive.train) * self._archive.images_per_train_file

    def _dataset(self, train: Examples, test: Examples, evaluated_on: str) -> ImageDataset:
        return ImageDataset(
            name=self._archive.name,
            train=train,
            test=test,
            evaluated_on=evaluated_on,
            class_names=self._archive.class_names,
            mean=self._archive.mean,
            std=self._archive.std,
        )


@dataclass(frozen=True)
class Cifar10(_Cifar):
    """CIFAR-10: 50,000 + 10,000 colour images of 32×32, 10 classes, from the official files.

    Give the folder that holds the unpacked files, or the folder that holds the archive's own
    folder. The files may be in the binary layout (`data_batch_1.bin` ... `test_batch.bin`) or in
    the Python layout (`data_batch_1` ... `test_batch`), in the folder itself or in
    `cifar-10-batches-bin` or `cifar-10-batches-py`. If more than one layout is complete, the folder
    itself comes first, and binary before Python. Nothing is downloaded, and a pickle can build
    nothing but arrays, numbers, strings and containers. Files whose images or labels are not the
    official ones, by their MD5 sums, are read with a warning.

    `mean` and `std` are the customary constants. The customary std, (0.2023, 0.1994, 0.2010), is
    the mean of the images' own standard deviations; over all pixels it is (0.2470, 0.2435, 0.2616).

    Attributes:
        folder: the folder of the files; `~` is the home folder.
        validation: the share of the training examples to evaluate on instead of the test split.

    Raises:
        ValueError: when `folder` is no path or `validation` outside [0, 1).

    Source:
        Krizhevsky, "Learning multiple layers of features from tiny images" (2009);
        https://www.cs.toronto.edu/~kriz/cifar.html.

    Example:
        >>> from jaxsched.data import Cifar10
        >>> Cifar10("~/data", validation=0.1)
        Cifar10(folder='~/data', validation=0.1)
    """

    _archive = _CIFAR10


@dataclass(frozen=True)
class Cifar100(_Cifar):
    """CIFAR-100: 50,000 + 10,000 colour images of 32×32, 100 fine classes, from the official files.

    Give the folder that holds the unpacked files, or the folder that holds the archive's own
    folder. The files may be in the binary layout (`train.bin`, `test.bin`) or in the Python layout
    (`train`, `test`), in the folder itself or in `cifar-100-binary` or `cifar-100-python`, with the
    same order of preference and the same check as `Cifar10`. The labels are the 100 fine ones.
    Nothing is downloaded.

    Attributes:
        folder: the folder of the files; `~` is the home folder.
        validation: the share of the training examples to evaluate on instead of the test split.

    Raises:
        ValueError: when `folder` is no path or `validation` outside [0, 1).

    Source:
        Krizhevsky, "Learning multiple layers of features from tiny images" (2009);
        https://www.cs.toronto.edu/~kriz/cifar.html.

    Example:
        >>> from jaxsched.data import Cifar100
        >>> Cifar100("~/data")
        Cifar100(folder='~/data', validation=0.0)
    """

    _archive = _CIFAR100
