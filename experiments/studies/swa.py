"""1cycle against 1cycle followed by SWA, a constant learning rate with averaged weights.

    jaxsched bench experiments/studies/swa.py

`data` holds CIFAR-10's official files. The study repeats the SWA run of "Experiments with CIFAR10,
part 2": 20 epochs of 1cycle to 0.1 and 10 of SWA at 0.01, against 30 epochs of 1cycle. Sized for a
CPU: the first 5,000 images and a ResNet-8 of width 8; the four runs take about 15 minutes on one
core. On a GPU set NETWORK to R18, DATA to all of CIFAR-10, BATCH_SIZE to 128 and give more SEEDS;
published single runs of a ResNet-18 on the original pixels are 94.14 % (20 + 10 epochs), 94.45 %
(20 + 20) and, by 1cycle alone, 93.77 % (30 epochs).
"""

import dataclasses

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

NETWORK = CifarResNet(depth=8, width=8)
DATA = Subset(Cifar10(folder="data"), num_train=5_000)
CYCLE = 20
AVERAGED = 10
BATCH_SIZE = 32
PEAK = 0.1
SWA_RATE = 0.01
SEEDS = (0, 1)

cycle = js.OneCycle(PEAK, duration=CYCLE)
swa = Experiment(
    name="swa",
    task=ImageClassification(model=NETWORK, data=DATA),
    phases=(js.Phase(CYCLE + AVERAGED, BATCH_SIZE),),
    optimizer=js.SGD(
        lr=js.Sequence((cycle, js.Constant(SWA_RATE)), boundaries=(CYCLE,)),
        momentum=js.Sequence((cycle.momentum(0.95, 0.85), js.Constant(0.9)), boundaries=(CYCLE,)),
        weight_decay=5e-4,
        averaging=js.Averaging(start=CYCLE),
    ),
    evaluate_every=2.0,
)
long_cycle = js.OneCycle(PEAK, duration="100%")
one_cycle = dataclasses.replace(
    swa,
    name="one_cycle",
    optimizer=js.SGD(long_cycle, long_cycle.momentum(0.95, 0.85), weight_decay=5e-4),
)

study = Study(name="swa", experiments=(one_cycle, swa), seeds=SEEDS, target=0.6)
