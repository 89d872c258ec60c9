"""1cycle, and 1cycle followed by a constant rate whose weights are averaged (SWA), on CIFAR-10.

    jaxsched bench experiments/swa.py

`data` holds the official files. The SWA run of "Experiments with CIFAR10, part 2", sized for a
CPU: a ResNet-8, 2 epochs of 1cycle and 2 of SWA, against 1cycle over all 4. On a GPU set NETWORK to
R18, CYCLE to 20, AVERAGED to 10 and give more SEEDS; published single runs of a ResNet-18 on the
original pixels are 94.14 % (20 + 10 epochs), 94.45 % (20 + 20) and, by 1cycle alone, 93.77 % (30
epochs).
"""

import dataclasses

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Cifar10
from jaxsched.models import CifarResNet
from jaxsched.train import Experiment

NETWORK = CifarResNet(depth=8, width=16)
CYCLE = 2
AVERAGED = 2
BATCH_SIZE = 32
PEAK = 0.1
SWA_RATE = 0.01
SEEDS = (0, 1)

cycle = js.OneCycle(PEAK, duration=CYCLE)
swa = Experiment(
    name="swa",
    model=NETWORK,
    data=Cifar10(folder="data"),
    phases=(js.Phase(CYCLE + AVERAGED, BATCH_SIZE),),
    optimizer=js.SGD(
        lr=js.Sequence((cycle, js.Constant(SWA_RATE)), boundaries=(CYCLE,)),
        momentum=js.Sequence((cycle.momentum(0.95, 0.85), js.Constant(0.9)), boundaries=(CYCLE,)),
        weight_decay=5e-4,
        averaging=js.Averaging(start=CYCLE),
    ),
)
long_cycle = js.OneCycle(PEAK, duration="100%")
one_cycle = dataclasses.replace(
    swa,
    name="one_cycle",
    optimizer=js.SGD(long_cycle, long_cycle.momentum(0.95, 0.85), weight_decay=5e-4),
)

study = Study(name="swa", experiments=(one_cycle, swa), seeds=SEEDS, target=0.65)
