"""How much does the decay factor matter to ABEL, and how much to steps?

    jaxsched bench experiments/studies/abel_variants/factors.py  # --size cpu
    jaxsched bench experiments/studies/abel_variants/factors.py --size full  # for a GPU

The study has the runs of abel.py with L2 and augmentation whose factors are 0.1, 0.2 and 0.5.
Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682, figure 3), finds for a ResNet-50 on
ImageNet that neither is sensitive to the factor, and that with 0.5 the norm bounces more often; the
paper ran 0.5 for 120 epochs instead of 90. No numbers are published.

The target is AlgoPerf's rule on steps by the factor 0.2. `cpu` trains on 2.7 million images, about
an hour and a half on one core.
"""

from pathlib import Path

from jaxsched.experiment import load_module

rates = load_module(Path(__file__).parents[1] / "abel_rates.py")

NAMES = tuple(
    f"{schedule}_{setting}"
    for setting in ("factor_0.1", "l2_aug", "factor_0.5")  # l2_aug has 0.2
    for schedule in ("steps", "abel")
)

sizes = {size: rates.part(size, "abel_factors", NAMES) for size in ("cpu", "full")}
