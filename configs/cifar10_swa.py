"""ResNet-18 on CIFAR-10: 1cycle for 20 epochs, then SWA at a constant 0.01 for 10.

    jaxsched train configs/cifar10_swa.py --data.folder data

`data` holds the official files. This is the SWA run of "Experiments with CIFAR10, part 2": 1cycle
to 0.1, then plain SGD at 0.01 with momentum 0.9, whose weights are averaged after each epoch.

Hardware: a GPU. Not run yet; `experiments/studies/averages.py` has the size of a CPU.
Published: 94.14 % with 10 epochs of SWA and 94.45 % with 20 (single runs, original pixels).
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import R18
from jaxsched.tasks import ImageClassification

cycle = js.OneCycle(peak=0.1, duration=20)

experiment = Experiment(
    name="cifar10_swa",
    task=ImageClassification(model=R18, data=Cifar10(folder="data")),
    phases=(js.Phase(epochs=30, batch_size=128),),
    optimizer=js.SGD(
        lr=js.Sequence((cycle, js.Constant(0.01)), boundaries=(20,)),
        momentum=js.Sequence((cycle.momentum(0.95, 0.85), js.Constant(0.9)), boundaries=(20,)),
        weight_decay=5e-4,
        averaging=js.Averaging(start=20),
    ),
)
