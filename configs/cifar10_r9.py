"""R9, a ResNet-18 with one block a stage, on CIFAR-10 by 1cycle.

    jaxsched train configs/cifar10_r9.py --data.folder data
    jaxsched train configs/cifar10_r9.py --phases.0.epochs 3 --phases.0.batch-size 32

The first is for a GPU. The second is a few epochs on a CPU, where small batches are faster. `data`
holds the official files. The recipe is the best of "Experiments with CIFAR10, part 2" (1cycle to
0.1, 50 epochs, weight decay 5e-4), which reports 94.65 % in 50 epochs and 93.77 % in 30 for the
ResNet-18 on the original pixels; for R9 it reports 93.01 % in 50 epochs of another schedule. Single
runs all.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import R9

lr = js.OneCycle(peak=0.1, duration="100%")

experiment = Experiment(
    name="cifar10_r9",
    model=R9,
    data=Cifar10(folder="data"),
    phases=(js.Phase(epochs=50, batch_size=128),),
    optimizer=js.SGD(lr, momentum=lr.momentum(high=0.95, low=0.85), weight_decay=5e-4),
)
