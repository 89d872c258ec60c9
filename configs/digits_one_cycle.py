"""ResNet-8 on scikit-learn's digits with 1cycle, 20 epochs.

    jaxsched train configs/digits_one_cycle.py

Hardware: a laptop's CPU, about two seconds after compilation.
Expected: 96.7 ± 0.9 % (n=5; `one_cycle` of `experiments/studies/quickstart.py`).
"""

import jaxsched as js
from jaxsched.data import Augment, Digits
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

lr = js.OneCycle(peak=0.2, duration="100%")

experiment = Experiment(
    name="digits_one_cycle",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Digits(), augment=Augment(pad=1, flip=False)
    ),
    phases=(js.Phase(epochs=20, batch_size=32),),
    optimizer=js.SGD(lr, momentum=lr.momentum(high=0.95, low=0.85), weight_decay=5e-4),
)
