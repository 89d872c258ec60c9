"""ABEL at the size of a CPU: a ResNet-8 of width 8 on 5,000 images of CIFAR-10, 30 epochs.

    jaxsched diagnose configs/cifar10_resnet8_abel.py --data.source.folder data
    jaxsched train configs/cifar10_resnet8_abel.py --data.source.folder data

`data` holds the official files. The first command shows that the weight norm bounces. The weight
decay is four times the usual one, because the norm of so small a network only falls before it grows
when the decay is strong.

Hardware: one CPU core, about three minutes for the second command.
Expected: 57.5 ± 1.8 % (n=2); `experiments/studies/abel.py` compares it with three schedules.
"""

import jaxsched as js
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="cifar10_resnet8_abel",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Subset(Cifar10(folder="data"), num_train=5_000)
    ),
    phases=(js.Phase(epochs=30, batch_size=32),),
    optimizer=js.SGD(0.1, momentum=0.9, weight_decay=2e-3, abel=js.Abel(decay_factor=0.2)),
)
