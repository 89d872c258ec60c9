"""ResNet-8 on CIFAR-10 with 1cycle, ten epochs.

    jaxsched train configs/cifar10_resnet8.py --data.folder data

`data` holds the official files (`cifar-10-batches-bin` or `cifar-10-batches-py`).

Hardware: a CPU or any GPU. Not run to its end yet.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

lr = js.OneCycle(peak=0.4, duration="100%")

experiment = Experiment(
    name="cifar10_resnet8",
    task=ImageClassification(model=CifarResNet(depth=8, width=16), data=Cifar10(folder="data")),
    phases=(js.Phase(epochs=10, batch_size=128),),
    optimizer=js.SGD(lr, momentum=lr.momentum(high=0.95, low=0.85), weight_decay=5e-4),
)
