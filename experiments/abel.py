"""When is a complex schedule worth it? Four schedules, with and without L2 and augmentation.

    jaxsched bench experiments/abel.py

`data` holds the official files. The question is that of Lewkowycz, "How to decay your learning
rate" (arXiv 2103.12682): where the weight norm bounces, schedules that decay more than once (steps,
cosine, ABEL) beat a constant rate with one late decay; without a bounce they do not. Published, for
a WRN-28-10 on all of CIFAR-10 (tables 1 and 2): with L2 3.7 % test error by steps, 3.8 % by ABEL,
3.5 % by cosine, 4.9 % by the simple schedule; without L2 5.0 % by both cosine and the simple one;
without augmentation both 7.3 %, though the norm bounces.

The size is for a CPU: the first 5,000 images, a ResNet-8 of width 8, and a weight decay at which
its norm bounces within a few epochs; batch 32, because that is fast on a CPU. On a GPU set NETWORK
to WideResNet(16, 4), DATA to all of CIFAR-10, EPOCHS to 200, BATCH_SIZE to 128, WEIGHT_DECAY to
5e-4 and give more SEEDS.
"""

import dataclasses

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Augment, Cifar10, Subset
from jaxsched.models import CifarResNet
from jaxsched.train import Experiment

NETWORK = CifarResNet(depth=8, width=8)
DATA = Subset(Cifar10(folder="data"), num_train=5_000)
EPOCHS = 30
BATCH_SIZE = 32
RATE = 0.1
WEIGHT_DECAY = 2e-3
FACTOR = 0.2
SEEDS = (0, 1)

base = Experiment(
    name="late",
    model=NETWORK,
    data=DATA,
    phases=(js.Phase(EPOCHS, BATCH_SIZE),),
    optimizer=js.SGD(
        js.MultiStep(RATE, milestones=("85%",), factor=FACTOR),
        momentum=0.9,
        weight_decay=WEIGHT_DECAY,
    ),
    evaluate_every=2.0,
)

# The times of the steps are those of WRN training, 60, 120 and 160 of 200 epochs.
optimizers = {
    "late": base.optimizer,
    "steps": dataclasses.replace(
        base.optimizer, lr=js.MultiStep(RATE, milestones=("30%", "60%", "80%"), factor=FACTOR)
    ),
    "cosine": dataclasses.replace(base.optimizer, lr=js.Cosine(RATE, duration="100%")),
    "abel": dataclasses.replace(
        base.optimizer, lr=RATE, abel=js.Abel(decay_factor=FACTOR, last_decay="85%")
    ),
}
settings = {
    "l2_aug": (WEIGHT_DECAY, Augment()),
    "l2": (WEIGHT_DECAY, Augment(pad=0, flip=False)),
    "aug": (0.0, Augment()),
    "none": (0.0, Augment(pad=0, flip=False)),
}

study = Study(
    name="abel",
    experiments=tuple(
        dataclasses.replace(
            base,
            name=f"{schedule}_{setting}",
            optimizer=dataclasses.replace(optimizer, weight_decay=weight_decay),
            augment=augment,
        )
        for setting, (weight_decay, augment) in settings.items()
        for schedule, optimizer in optimizers.items()
    ),
    seeds=SEEDS,
    target=0.5,
)
