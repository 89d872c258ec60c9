"""`experiments/super_convergence.py` at the papers' size: a ResNet-56 on all of CIFAR-10.

    jaxsched bench experiments/super_convergence_full.py
    python experiments/super_convergence_picture.py runs/super_convergence_full/records

For a GPU; not run yet. `data` holds the official files. Batch sizes, epochs, rates, momenta, weight
decays and what the running statistics of batch norm keep are the papers'. Theirs stood on eight
GPUs, whose batch norms knew nothing of each other: ours takes groups of as many images. `piecewise`
in as many updates as the cycle is ours. Two differences stay: Caffe has the rate inside the
momentum buffer, we have it outside, and the author's running statistics are those of one GPU.
"""

import dataclasses
import runpy
from pathlib import Path

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.data import Augment, Cifar10
from jaxsched.models import BatchNorm, CifarResNet
from jaxsched.train import Experiment

small = runpy.run_path(str(Path(__file__).with_name("super_convergence.py")))

cycle = Experiment(
    name="cycle",
    model=CifarResNet(depth=56, norm=BatchNorm(momentum=0.95, ghost=125)),
    data=Cifar10(folder="data"),
    phases=(js.Phase(epochs=200, batch_size=1000),),
    optimizer=js.SGD(small["triangle"](3.0), momentum=0.9, weight_decay=1e-4),
    augment=Augment(pad=0),  # mirrored only
    evaluate_every=10.0,
)
one_cycle = dataclasses.replace(
    cycle,
    name="one_cycle",
    model=CifarResNet(depth=56, norm=BatchNorm(momentum=0.95, ghost=64)),
    phases=(js.Phase(epochs=95, batch_size=512),),
    optimizer=small["one_cycle"].optimizer,
)
# The solver of the baseline has statistics that remember a thousand updates.
slow = CifarResNet(depth=56, norm=BatchNorm(momentum=0.999, ghost=125))
_, *stepped = small["against_steps"](cycle, 0.35)

study = Study(
    name="super_convergence_full",
    experiments=(
        cycle,
        *(dataclasses.replace(run, model=slow) for run in stepped),
        *small["settings_of"](cycle),
        *small["cyclical_momentum"](one_cycle),
        *small["batch_sizes"](one_cycle, js.Phase(70, 256), js.Phase(116, 1024)),
        small["variant"](one_cycle, "one_cycle_wd_3e-4", weight_decay=3e-4),
        small["variant"](one_cycle, "one_cycle_wd_1e-5", weight_decay=1e-5),
    ),
    seeds=small["SEEDS"],
    target=0.9,
)
