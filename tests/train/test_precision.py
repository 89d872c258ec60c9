"""Every product that a program asks for, as its lowered text shows it."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest

from jaxsched.train.distributed.jit import JitDriver
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.program.compiler import ProgramCompiler
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment


class Lowering(JitDriver):
    """Returns the text of a program, not yet compiled."""

    def compile(self, program, *arguments, donate=(), split=()):
        return jax.jit(lambda *args: program(lambda rows: rows, *args)).lower(*arguments).as_text()


def products(experiment):
    """The lines with a product, of the programs that update, evaluate and predict."""
    dataset, driver = experiment.task.data.load(), Lowering(jax.devices()[:1])
    plan = experiment.plan(len(dataset.train))
    task = experiment.task.build(dataset, dtype=jnp.dtype(experiment.precision))
    traced = TracedExperiment(SharedProgramSpec((experiment,), plan), plan, task, plan.batch_sizes)
    data = place_data(driver, dataset, task)
    compiler = ProgramCompiler(driver, traced, data.training, data.evaluation)
    text = compiler.updates(plan.batch_sizes[0]) + compiler.evaluation() + compiler.prediction()
    return [line for line in text.splitlines() if re.search(r"dot_general|\.convolution", line)]


@pytest.mark.parametrize(("precision", "is_exact"), [("float32", True), ("bfloat16", False)])
def test_products_of_a_float32_experiment_alone_ask_for_float32(experiment, precision, is_exact):
    found = products(dataclasses.replace(experiment, precision=precision))
    # Four layers forwards in three programs, and both gradients of each but the images'.
    assert len(found) >= 3 * 4 + 2 * 4 - 1
    assert {line.count("HIGHEST") for line in found} == {2 if is_exact else 0}  # both operands
