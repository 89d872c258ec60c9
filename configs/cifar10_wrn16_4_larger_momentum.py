"""WRN-16-4 on CIFAR-10: batches that grow, at five times the rate and momentum 0.98.

    jaxsched train configs/cifar10_wrn16_4_larger_momentum.py --data.folder data

For a GPU; not run yet. The last run of figure 5 of "Don't decay the learning rate, increase the
batch size" (arXiv 1711.00489): rate 0.5, momentum 0.98, batches of 3,200 and 5,120; 2,305 updates
(the paper: under 2,500), 93.3 % test accuracy in a single run. The point that it loses is the
momentum's, which takes three epochs to build up. See `cifar10_wrn16_4_decay.py`.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, WideResNet

traded = js.trade(
    js.MultiStep(0.1, milestones=(60, 120, 160), factor=0.2),
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=128,
    epochs=200,
    num_examples=50_000,
    max_batch_size=5120,
    lr_factor=5,
    new_momentum=0.98,
)

experiment = Experiment(
    name="cifar10_wrn16_4_larger_momentum",
    model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)),
    data=Cifar10(folder="data"),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    max_device_batch=1280,
)
