"""What does it cost to decay before the weight norm has bounced?

    jaxsched bench experiments/studies/abel_variants/early.py  # --size cpu
    jaxsched bench experiments/studies/abel_variants/early.py --size full  # for a GPU

Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682, supplementary), decays a VGG-5 on
CIFAR-100 at different times: too early clearly hurts, best is after the norm's growth has slowed,
and late is not clearly bad. No numbers are published. Here the learning rate of abel.py with L2 and
augmentation decays for the first time at 5 to 60 % of the run, and for the last time at 85 %, as
ABEL's does; beside it ABEL, which decides by itself, and `late`, which decays only once.

`cpu` trains on 3.2 million images, about an hour and a half on one core.
"""

import dataclasses
from pathlib import Path

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.experiment import Experiment, load_module

abel = load_module(Path(__file__).parents[1] / "abel.py")

FIRST = ("5%", "10%", "20%", "40%", "60%")
LAST = "85%"


def first_at(base: Experiment, share: str) -> Experiment:
    """The run whose learning rate decays at this share and at the last decay."""
    lr = js.MultiStep(abel.RATE, milestones=(share, LAST), factor=abel.FACTOR)
    return dataclasses.replace(
        base,
        name=f"first_{share.rstrip('%')}",
        optimizer=dataclasses.replace(base.optimizer, lr=lr),
    )


def study(size: str) -> Study:
    """The study with the networks and the data of a size of abel.py."""
    whole = abel.sizes[size]
    given = {experiment.name: experiment for experiment in whole.experiments}
    names = ("late_l2_aug", "abel_l2_aug")
    late = given["late_l2_aug"]
    return dataclasses.replace(
        whole,
        name=whole.name.replace("abel", "abel_early"),
        experiments=(*(first_at(late, share) for share in FIRST), *(given[n] for n in names)),
        published={name: of for name, of in whole.published.items() if name in names},
    )


sizes = {size: study(size) for size in ("cpu", "full")}
