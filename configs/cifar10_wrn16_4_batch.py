"""WRN-16-4 on CIFAR-10: the batch grows where `cifar10_wrn16_4_decay.py` decays the learning rate.

    jaxsched train configs/cifar10_wrn16_4_batch.py --data.folder data

`data` holds the official files. This is the second run of figure 5 of "Don't decay the learning
rate, increase the batch size" (arXiv 1711.00489): batches of 128, 640, 3,200 and 5,120, a tenth of
the examples. What is left of the last step stays in the learning rate.

The figure's other runs are arguments of `js.trade`: `lr_factor=5` starts at batch 640 (6,407
updates), and with `new_momentum=0.98` at 3,200 (2,305 updates); `mode="hybrid"` grows once and
decays from then on (34,376). All are in `experiments/studies/dont_decay.py --size full`.

Hardware: a GPU. Not run yet.
Published: 94.4 % in about 29,000 updates (here 29,142), a single run.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, WideResNet
from jaxsched.tasks import ImageClassification

traded = js.trade(
    js.MultiStep(0.1, milestones=(60, 120, 160), factor=0.2),
    momentum=0.9,
    weight_decay=5e-4,
    batch_size=128,
    epochs=200,
    num_examples=50_000,
    max_batch_size=5120,
    mode="batch",
)

experiment = Experiment(
    name="cifar10_wrn16_4_batch",
    task=ImageClassification(
        model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)), data=Cifar10(folder="data")
    ),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    max_device_batch=1280,
)
