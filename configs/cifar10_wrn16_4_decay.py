"""WRN-16-4 on CIFAR-10 with a step schedule: the baseline for batches that grow.

    jaxsched train configs/cifar10_wrn16_4_decay.py --data.folder data

`data` holds the official files. This is the first run of figure 5 of "Don't decay the learning
rate, increase the batch size" (arXiv 1711.00489). Learning rate, momentum, factor and batch sizes
are the paper's; epochs and milestones are those that give its update counts; the weight decay is
the usual one for this network. Batch norm normalises groups of 128 examples.

`cifar10_wrn16_4_batch.py` grows the batch instead. All five runs of the figure, and those with
other optimizers, are `experiments/studies/dont_decay.py --size full`.

Hardware: a GPU. Not run yet.
Published: 94.3 % in about 80,000 updates (here 78,125), a single run.
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
    mode="lr",
)

experiment = Experiment(
    name="cifar10_wrn16_4_decay",
    task=ImageClassification(
        model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)), data=Cifar10(folder="data")
    ),
    phases=traded.phases,
    optimizer=js.SGD(traded.lr, traded.momentum, traded.weight_decay),
    max_device_batch=1280,
)
