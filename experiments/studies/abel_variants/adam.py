"""Does the norm bounce with Adam too, and is a complex schedule then worth it?

    jaxsched bench experiments/studies/abel_variants/adam.py  # --size cpu
    jaxsched bench experiments/studies/abel_variants/adam.py --size longer  # not run yet
    jaxsched bench experiments/studies/abel_variants/adam.py --size full  # for a GPU

The rows of Adam in Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682, table 2): a
ResNet-50 on ImageNet reaches 75.3 % by cosine and 74.0 % by one late decay with L2, 71.8 % and
71.1 % without. Here Adam has the four schedules of abel.py, its networks and its data, with L2 and
without, augmented. The L2 is a part of the gradient, as in the paper's update rule, so that Adam
divides it by the root of its mean square. The paper's learning rate and L2 for Adam are not
published.

`cpu` trains on 3.6 million images, about two hours on one core. `longer` trains on 19 million, by
the design of abel.py's size of that name.
"""

import dataclasses
from pathlib import Path

import jaxsched as js
from jaxsched.bench import Study
from jaxsched.experiment import Experiment, load_module

abel = load_module(Path(__file__).parents[1] / "abel.py")

RATE = 1e-3
L2 = 1e-3


def runs(base: Experiment) -> tuple[Experiment, ...]:
    """The four schedules with and without L2, by Adam."""
    late = js.MultiStep(RATE, milestones=("85%",), factor=abel.FACTOR)
    adam = dataclasses.replace(base, optimizer=js.Adam(late))
    optimizers = {
        "late": adam.optimizer,
        "steps": abel.stepped(adam, RATE, abel.FACTOR),
        "cosine": js.Adam(js.Cosine(RATE, duration="100%")),
        "abel": abel.by_abel(adam, RATE, abel.FACTOR),
    }
    return tuple(
        dataclasses.replace(
            adam,
            name=f"{schedule}_{setting}",
            optimizer=dataclasses.replace(optimizer, weight_decay=weight_decay),
        )
        for setting, weight_decay in {"l2": L2, "none": 0.0}.items()
        for schedule, optimizer in optimizers.items()
    )


def study(size: str) -> Study:
    """The study with the networks and the data of a size of abel.py."""
    whole = abel.sizes[size]
    return dataclasses.replace(
        whole,
        name=whole.name.replace("abel", "abel_adam"),
        experiments=runs(whole.experiments[0]),
        baseline="late_l2",
        published={},
    )


sizes = {size: study(size) for size in ("cpu", "longer", "full")}
