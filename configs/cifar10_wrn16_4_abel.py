"""WRN-16-4 on CIFAR-10 with ABEL: the learning rate decays when the weight norm bounces.

    jaxsched diagnose configs/cifar10_wrn16_4_abel.py --data.folder data --epochs 40
    jaxsched train configs/cifar10_wrn16_4_abel.py --data.folder data
    jaxsched train configs/cifar10_wrn16_4_abel.py --data.folder data --phases.0.epochs 300 \
        --start-from runs/train/cifar10_wrn16_4_abel-DIGEST-seed0/before_last_decay

The third command starts a longer run from the state that the second one kept before its last decay.
`data` holds the official files.

Hardware: a GPU. Not run yet.
Published: the paper has a WRN-28-10 (3.8 % test error with ABEL, 3.7 % with steps, 3.5 % with
cosine; table 1) and gives the decay factor 0.2 for CIFAR. Learning rate, batch size and weight
decay are the usual ones for this network.
"""

import jaxsched as js
from jaxsched.data import Cifar10
from jaxsched.experiment import Experiment
from jaxsched.models import WideResNet
from jaxsched.tasks import ImageClassification

experiment = Experiment(
    name="cifar10_wrn16_4_abel",
    task=ImageClassification(model=WideResNet(depth=16, widen=4), data=Cifar10(folder="data")),
    phases=(js.Phase(epochs=200, batch_size=128),),
    optimizer=js.SGD(
        0.1,
        momentum=0.9,
        weight_decay=5e-4,
        nesterov=True,
        abel=js.Abel(decay_factor=0.2, last_decay="85%"),
    ),
)
