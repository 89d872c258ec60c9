"""R9 (a ResNet-18 with one block a stage) on CIFAR-10 with 1cycle, 50 epochs.

    jaxsched train configs/cifar10_r9.py --data.folder data
    jaxsched train configs/cifar10_r9.py --phases.0.epochs 3 --phases.0.batch-size 32

`data` holds the official files.

Hardware: the first command is for a GPU; not run yet. The second is for a CPU, where small batches
are faster: three epochs took 51 minutes on 2 cores beside other jobs and reached 78.44 % (n=1).
Published: the recipe is the best one of "Experiments with CIFAR10, part 2" (1cycle to 0.1, 50
epochs, weight decay 5e-4), which reports 94.65 % in 50 epochs and 93.77 % in 30 for the ResNet-18.
For R9 it reports 93.01 % in 50 epochs with another schedule. All are single runs on the original
pixels.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import R9
from jaxsched.tasks import ImageClassification

lr = js.OneCycle(peak=0.1, duration="100%")

experiment = Experiment(
    name="cifar10_r9",
    task=ImageClassification(model=R9, data=Cifar10(folder="data")),
    phases=(js.Phase(epochs=50, batch_size=128),),
    optimizer=js.SGD(lr, momentum=lr.momentum(high=0.95, low=0.85), weight_decay=5e-4),
)
