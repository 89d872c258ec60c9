"""1cycle for 20 epochs, then a constant 0.01 whose weights are averaged each epoch (SWA).

    jaxsched train configs/cifar10_swa.py --data.folder data

The SWA run of "Experiments with CIFAR10, part 2": a ResNet-18, 1cycle to 0.1, then 10 or 20 epochs
of plain SGD at 0.01 with momentum 0.9, which reports 94.14 % and 94.45 % (single runs, original
pixels). For a GPU; not run yet. Sized for a CPU:
`experiments/studies/swa.py`. `data` holds the official files.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import R18

cycle = js.OneCycle(peak=0.1, duration=20)

experiment = Experiment(
    name="cifar10_swa",
    model=R18,
    data=Cifar10(folder="data"),
    phases=(js.Phase(epochs=30, batch_size=128),),
    optimizer=js.SGD(
        lr=js.Sequence((cycle, js.Constant(0.01)), boundaries=(20,)),
        momentum=js.Sequence((cycle.momentum(0.95, 0.85), js.Constant(0.9)), boundaries=(20,)),
        weight_decay=5e-4,
        averaging=js.Averaging(start=20),
    ),
)
