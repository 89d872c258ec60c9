"""How much does the learning rate matter to ABEL, and how much to steps?

    jaxsched bench experiments/studies/abel_rates.py               # --size cpu
    jaxsched bench experiments/studies/abel_rates.py --size full   # for a GPU; not run yet

The study has the runs of abel.py with L2 and augmentation whose learning rates are 0.025, 0.1 and
0.4. Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682, figure 3), finds for a
ResNet-50 on ImageNet that ABEL is the less sensitive of the two; no numbers are published.

The target is AlgoPerf's rule on steps from 0.1. `cpu` trains on 2.7 million images, about an hour
and a half on one core.
"""

import dataclasses
from pathlib import Path

from jaxsched.bench import MedianBest, Study, load_study

NAMES = tuple(
    f"{schedule}_{setting}"
    for setting in ("lr_0.025", "l2_aug", "lr_0.4")  # l2_aug is at 0.1
    for schedule in ("steps", "abel")
)


def part(size: str, name: str = "abel_rates", names: tuple[str, ...] = NAMES) -> Study:
    """The study of these runs at a size of abel.py; `steps_l2_aug` is one of them."""
    whole = load_study(Path(__file__).with_name("abel.py"), size)
    experiments = {experiment.name: experiment for experiment in whole.experiments}
    return dataclasses.replace(
        whole,
        name=whole.name.replace("abel", name),
        experiments=tuple(experiments[name] for name in names),
        target=MedianBest("steps_l2_aug"),
        baseline="steps_l2_aug",
        published={name: of for name, of in whole.published.items() if name in names},
    )


sizes = {size: part(size) for size in ("cpu", "full")}
