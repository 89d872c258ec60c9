"""Data sets: their sources, the order of the examples, and augmentation."""

from jaxsched.data.check import find_unreadable as find_unreadable
from jaxsched.data.dataset import Dataset as Dataset
from jaxsched.data.dataset import Examples as Examples
from jaxsched.data.dataset import Source as Source
from jaxsched.data.dataset import StreamedExamples as StreamedExamples
from jaxsched.data.images import ImageDataset as ImageDataset
from jaxsched.data.images import Images as Images
from jaxsched.data.images import StreamedImages as StreamedImages
from jaxsched.data.images import channel_statistics as channel_statistics
from jaxsched.data.loader import BatchReader as BatchReader
from jaxsched.data.read_workers import ReadWorkers as ReadWorkers
from jaxsched.data.shuffle import epoch_order as epoch_order
from jaxsched.data.sources.cifar import Cifar10 as Cifar10
from jaxsched.data.sources.cifar import Cifar100 as Cifar100
from jaxsched.data.sources.digits import Digits as Digits
from jaxsched.data.sources.image_folder import ImageFolder as ImageFolder
from jaxsched.data.sources.streamed import Streamed as Streamed
from jaxsched.data.sources.streamed_tfds import StreamedTfds as StreamedTfds
from jaxsched.data.sources.subset import Subset as Subset
from jaxsched.data.sources.synthetic import Synthetic as Synthetic
from jaxsched.data.sources.tfds import Tfds as Tfds
from jaxsched.data.transforms.augment import Augment as Augment
from jaxsched.data.transforms.augment import example_keys as example_keys
from jaxsched.data.transforms.augment import normalise as normalise
from jaxsched.data.transforms.crop import RandomResizedCrop as RandomResizedCrop
