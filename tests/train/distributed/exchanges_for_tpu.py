"""Compiles updates for four described TPU chips and prints what the chips exchange, as JSON.

`python exchanges_for_tpu.py` needs `jax[tpu]`, and no TPU. Each exchange is [dtype, bytes, whether
it stands in the loop over micro-batches].
"""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
from jax.experimental import topologies

import jaxsched as js
from jaxsched.ahead_of_time.hlo.facts import read_program
from jaxsched.data import Synthetic
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, CifarResNet
from jaxsched.tasks import ImageClassification
from jaxsched.train.distributed.described import DescribedJitDriver, DescribedPmapDriver
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.program.compiler import ProgramCompiler
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment

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
DRIVERS = {"jit": DescribedJitDriver, "pmap": DescribedPmapDriver}


def exchanges(experiment, driver):
    dataset = experiment.task.data.load()
    plan, axis_name = experiment.plan(len(dataset.train)), driver.axis_name
    task = experiment.task.build(dataset, dtype=jnp.bfloat16, axis_name=axis_name)
    spec = SharedProgramSpec((experiment,), plan)
    traced = TracedExperiment(spec, plan, task, plan.batch_sizes, axis_name=axis_name)
    data = place_data(driver, dataset, task)
    compiled = ProgramCompiler(driver, traced, data.training, data.evaluation).updates(BATCH)
    facts = read_program(getattr(compiled, "func", compiled).as_text())
    # One loop is that over updates.
    return [(each.dtype, each.bytes, len(each.loops) == 2) for each in facts.collectives]


def main():
    devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2").devices
    found = {
        f"{name}, {kind}": exchanges(dataclasses.replace(case, driver=kind), driver(devices))
        for name, case in CASES.items()
        for kind, driver in DRIVERS.items()
    }
    task = PLAIN.task.build(PLAIN.task.data.load())
    leaves = jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))["params"])
    found["gradient"] = sum(4 * leaf.size for leaf in leaves)
    found["kernels"] = sum(4 * leaf.size for leaf in leaves if leaf.ndim == 4)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
