"""ABEL at the size of a CPU: a ResNet-8 of width 8 on 5,000 images of CIFAR-10, whose norm bounces.

    jaxsched diagnose configs/cifar10_resnet8_abel.py --data.source.folder data
    jaxsched train configs/cifar10_resnet8_abel.py --data.source.folder data

`data` holds the official files. The second takes three minutes on one core. The weight decay is
four times the usual one, so that the norm of so small a network falls before it grows.
`experiments/studies/abel.py` compares it with schedules.
"""

import jaxsched as js
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet

experiment = Experiment(
    name="cifar10_resnet8_abel",
    model=CifarResNet(depth=8, width=8),
    data=Subset(Cifar10(folder="data"), num_train=5_000),
    phases=(js.Phase(epochs=30, batch_size=32),),
    optimizer=js.SGD(0.1, momentum=0.9, weight_decay=2e-3, abel=js.Abel(decay_factor=0.2)),
)
