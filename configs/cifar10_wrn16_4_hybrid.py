"""WRN-16-4 on CIFAR-10: a larger batch at the first step, a smaller learning rate at the others.

    jaxsched train configs/cifar10_wrn16_4_hybrid.py --data.folder data

For a GPU; not run yet. The hybrid schedule of "Don't decay the learning rate, increase the batch
size" (arXiv 1711.00489), figures 1 to 4: 34,376 updates in place of 78,125, on the curves of the
other two; the paper has no number for it. See `cifar10_wrn16_4_decay.py`.
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
    mode="hybrid",
)

experiment = Experiment(
    name="cifar10_wrn16_4_hybrid",
    model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)),
    data=Cifar10(folder="data"),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    max_device_batch=1280,
)
