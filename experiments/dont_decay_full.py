"""`experiments/dont_decay.py` at the paper's size: a WRN-16-4 on all of CIFAR-10, 200 epochs.

    jaxsched bench experiments/dont_decay_full.py
    python experiments/dont_decay_picture.py runs/dont_decay_full/records

For a GPU; not run yet. `data` holds the official files. Rate, batch size, factor and cap are the
paper's, epochs and steps those that meet its update counts. What is not published is ours: the
weight decay, the rates without momentum and of Adam, and all that learns.
"""

import runpy
from pathlib import Path

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Cifar10
from jaxsched.models import BatchNorm, WideResNet
from jaxsched.train import Experiment

RATE = 0.1
NUM_TRAIN = 50_000
MAX_BATCH_SIZE = 5120

small = runpy.run_path(str(Path(__file__).with_name("dont_decay.py")))

base = Experiment(
    name="decay",
    model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)),
    data=Cifar10(folder="data"),
    phases=(js.Phase(epochs=200, batch_size=128),),
    optimizer=js.SGD(RATE, momentum=0.9, weight_decay=5e-4),
    evaluate_every=2.0,
    max_device_batch=1280,
)

study = Study(
    name="dont_decay_full",
    experiments=(
        *small["published"](base, RATE, num_examples=NUM_TRAIN, max_batch_size=MAX_BATCH_SIZE),
        *small["by_abel"](base, MAX_BATCH_SIZE),
        small["by_noise"](base, RATE, MAX_BATCH_SIZE),
    ),
    seeds=small["SEEDS"],
    target=0.94,
)
