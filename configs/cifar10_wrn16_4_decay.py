"""WRN-16-4 on CIFAR-10 by steps: the run that growing batches are to be compared with.

    jaxsched train configs/cifar10_wrn16_4_decay.py --data.folder data

For a GPU; not run yet. The first run of figure 5 of "Don't decay the learning rate, increase the
batch size" (arXiv 1711.00489): 78,125 updates (the paper: about 80,000), 94.3 % test accuracy in a
single run. The others are `_hybrid`, `_batch`, `_larger_lr` and `_larger_momentum`, and all make
batch norm look at 128 examples. Rate, momentum, factor and batch sizes are the paper's; epochs and
steps are those that meet its update counts, the weight decay is the usual one of the network.
`data` holds the official files.
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
    mode="lr",
)

experiment = Experiment(
    name="cifar10_wrn16_4_decay",
    model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)),
    data=Cifar10(folder="data"),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    max_device_batch=1280,
)
