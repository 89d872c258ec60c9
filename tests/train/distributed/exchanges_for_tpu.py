"""Compiles updates for four described TPU chips and prints what the chips exchange, as JSON.

`python exchanges_for_tpu.py` needs `jax[tpu]`, and no TPU. Each exchange is [dtype, bytes, whether
it stands in the loop over micro-batches].
"""

import dataclasses
import json
import sys

import jax

import jaxsched as js
from jaxsched.ahead_of_time.programs import DescribedPrograms
from jaxsched.ahead_of_time.topology import describe_machine
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, CifarResNet
from jaxsched.tasks import ImageClassification

BATCH = 256
PLAIN = Experiment(
    name="plain",
    task=ImageClassification(model=CifarResNet(depth=8, width=8), data=Synthetic()),
    phases=(js.Phase(1, BATCH),),
    optimizer=js.SGD(0.1, momentum=0.9),
    precision="bfloat16",
)
GHOST = PLAIN.with_task(model=CifarResNet(depth=8, width=8, norm=BatchNorm(ghost=16)))
MICRO = dataclasses.replace(GHOST, max_device_batch=32)
NOISE = dataclasses.replace(MICRO, optimizer=js.SGD(0.1, noise=js.NoiseEstimate()))
CASES = {
    "plain": PLAIN,
    "half": dataclasses.replace(PLAIN, gradient_dtype="bfloat16"),
    "micro": MICRO,
    "noise": NOISE,
}


def exchanges(experiment, machine):
    dataset = experiment.task.data.load()
    facts = DescribedPrograms(experiment, dataset, machine).updates(BATCH).facts
    # One loop is that over updates.
    return [(each.dtype, each.bytes, len(each.loops) == 2) for each in facts.collectives]


def main():
    # Standard output is for the JSON.
    machine = describe_machine("v5e:2x2", lambda text: print(text, file=sys.stderr))
    found = {
        f"{name}, {driver}": exchanges(dataclasses.replace(case, driver=driver), machine)
        for name, case in CASES.items()
        for driver in ("jit", "pmap")
    }
    task = PLAIN.task.build(PLAIN.task.data.load())
    leaves = jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))["params"])
    found["gradient"] = sum(4 * leaf.size for leaf in leaves)
    found["kernels"] = sum(4 * leaf.size for leaf in leaves if leaf.ndim == 4)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
