"""Where images come from, in which order they are seen, and how they are augmented."""

from jaxsched.data.augment import Augment as Augment
from jaxsched.data.augment import example_keys as example_keys
from jaxsched.data.augment import normalise as normalise
from jaxsched.data.cifar import Cifar10 as Cifar10
from jaxsched.data.cifar import Cifar100 as Cifar100
from jaxsched.data.crop import RandomResizedCrop as RandomResizedCrop
from jaxsched.data.dataset import Dataset as Dataset
from jaxsched.data.dataset import Images as Images
from jaxsched.data.dataset import Records as Records
from jaxsched.data.dataset import Source as Source
from jaxsched.data.dataset import channel_statistics as channel_statistics
from jaxsched.data.digits import Digits as Digits
from jaxsched.data.image_folder import ImageFolder as ImageFolder
from jaxsched.data.order import epoch_order as epoch_order
from jaxsched.data.reading import Reading as Reading
from jaxsched.data.streamed import Streamed as Streamed
from jaxsched.data.streamed_tfds import StreamedTfds as StreamedTfds
from jaxsched.data.subset import Subset as Subset
from jaxsched.data.synthetic import Synthetic as Synthetic
from jaxsched.data.tfds import Tfds as Tfds
