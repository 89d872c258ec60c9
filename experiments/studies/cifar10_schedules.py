"""Three schedules for a ResNet-8 on real CIFAR-10, three epochs each: who is first at 65 %?

    jaxsched bench experiments/studies/cifar10_schedules.py

`data` holds the official files (`cifar-10-batches-bin` or `cifar-10-batches-py`). The size is for a
CPU: the six runs took 24 minutes on 2 cores, with GLIBC_TUNABLES=glibc.malloc.hugetlb=1 set. On a
GPU set EPOCHS to 30 and more SEEDS; published single runs of a ResNet-18 on the original pixels are
93.76 (multi-step, 50 epochs), 93.91 (cosine, 50 epochs) and 94.65 and 93.77 (1cycle, 50 and 30
epochs), from "Experiments with CIFAR10, part 2".
"""

import dataclasses

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet

EPOCHS = 3
SEEDS = (0, 1)
PEAK = 0.4
one_cycle = js.OneCycle(PEAK, duration="100%")

cosine = Experiment(
    name="cosine",
    model=CifarResNet(depth=8, width=16),
    data=Cifar10(folder="data"),
    phases=(js.Phase(epochs=EPOCHS, batch_size=128),),
    optimizer=js.SGD(js.Cosine(PEAK, duration="100%"), momentum=0.9, weight_decay=5e-4),
    evaluate_every=0.5,
)


def variant(name: str, lr: js.Schedule, momentum: js.Schedule | float = 0.9) -> Experiment:
    """The same experiment under another schedule."""
    optimizer = dataclasses.replace(cosine.optimizer, lr=lr, momentum=momentum)
    return dataclasses.replace(cosine, name=name, optimizer=optimizer)


study = Study(
    name="cifar10_schedules",
    experiments=(
        variant("multi_step", js.MultiStep(PEAK, milestones=("50%", "80%"), factor=0.1)),
        cosine,
        variant("one_cycle", one_cycle, one_cycle.momentum(high=0.95, low=0.85)),
    ),
    seeds=SEEDS,
    target=0.65,
)
