"""Does the weight norm still bounce when the weights begin small?

    jaxsched bench experiments/studies/abel_variants/scale.py  # --size cpu
    jaxsched bench experiments/studies/abel_variants/scale.py --size longer  # not run yet
    jaxsched bench experiments/studies/abel_variants/scale.py --size full  # for a GPU

Lewkowycz, "How to decay your learning rate" (arXiv 2103.12682, supplementary), finds that the
bounce persists for smaller and smaller initial weights, until they are so small that the accuracy
collapses. No numbers are published. Here the kernels of abel.py's network, with L2 and
augmentation, begin at 1, 0.3 and 0.1 of their usual size, under one late decay, steps and ABEL.
Behind a batch norm the size of a kernel changes nothing but how far an update turns it: a third of
it is a learning rate that is nine times as large, until it has grown.

`cpu` trains on 4 million images, about two hours on one core. `longer` trains on 22 million, by
the design of abel.py's size of that name.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxsched.bench import Study
from jaxsched.experiment import Experiment, load_module
from jaxsched.models import Model, Network
from jaxsched.models.model import Variables

abel = load_module(Path(__file__).parents[1] / "abel.py")

SCALES = (1.0, 0.3, 0.1)
SCHEDULES = ("late", "steps", "abel")


@dataclasses.dataclass(frozen=True)
class ScaledKernels(Network):
    """A network whose kernels begin at a multiple of their usual size.

    Attributes:
        network: the network.
        scale: the factor of its initial kernels.
    """

    network: Network
    scale: float

    @property
    def batch_group(self) -> int | None:
        """See `Network.batch_group`."""
        return self.network.batch_group

    def build(
        self, num_classes: int, *, dtype: DTypeLike = jnp.float32, axis_name: str | None = None
    ) -> Model:
        """See `Network.build`."""
        model = self.network.build(num_classes, dtype=dtype, axis_name=axis_name)

        def init(key: jax.Array, shape: tuple[int, int, int]) -> Variables:
            variables = model.init(key, shape)
            return {**variables, "params": jax.tree.map(self._scaled, variables["params"])}

        return model._replace(init=init)

    def _scaled(self, weight: jax.Array) -> jax.Array:
        """A kernel has two axes or more; biases and norms have one."""
        return self.scale * weight if weight.ndim > 1 else weight


def scaled(base: Experiment, scale: float) -> Experiment:
    """The run with kernels that begin at this scale."""
    task: Any = base.task
    model = ScaledKernels(task.model, scale)
    schedule, _, _ = base.name.partition("_")
    return dataclasses.replace(base.with_task(model=model), name=f"{schedule}_{scale:g}")


def study(size: str) -> Study:
    """The study with the networks and the data of a size of abel.py."""
    whole = abel.sizes[size]
    given = {experiment.name: experiment for experiment in whole.experiments}
    return dataclasses.replace(
        whole,
        name=whole.name.replace("abel", "abel_scale"),
        experiments=tuple(
            dataclasses.replace(scaled(given[f"{schedule}_l2_aug"], scale), weight_norms=True)
            for scale in SCALES
            for schedule in SCHEDULES
        ),
        baseline="late_1",
        published={},
    )


sizes = {size: study(size) for size in ("cpu", "longer", "full")}
