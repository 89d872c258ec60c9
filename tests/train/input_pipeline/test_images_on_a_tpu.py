"""What programs do with the bytes of images, as their texts lowered for a TPU show it."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np

from jaxsched.data import Streamed
from jaxsched.models import BatchNorm, ResNet
from jaxsched.train.distributed.jit import JitDriver
from jaxsched.train.input_pipeline.base import flattened, unflattened
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.program.compiler import ProgramCompiler
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment

PIXELS = 8 * 8 * 3


class Lowering(JitDriver):
    """Returns the text of a program for a TPU, not compiled."""

    def compile(self, program, *arguments, donate=(), split=()):
        traced = jax.jit(lambda *args: program(lambda rows: rows, *args)).trace(*arguments)
        return traced.lower(lowering_platforms=("tpu",)).as_text()


def compiler(experiment):
    """Gives the programs of the experiment as texts."""
    dataset, driver = experiment.task.data.load(), Lowering(jax.devices()[:1])
    plan = experiment.plan(len(dataset.train))
    task = experiment.task.build(dataset, dtype=jnp.float32)
    traced = TracedExperiment(SharedProgramSpec((experiment,), plan), plan, task, plan.batch_sizes)
    data = place_data(driver, dataset, task)
    return ProgramCompiler(driver, traced, data.training, data.evaluation)


def streamed(experiment):
    return experiment.with_task(data=Streamed(experiment.task.data))


def gathers_of_bytes(text):
    """The sizes of the slices of each."""
    assert text.count("xui8>") > 1
    return re.findall(r'"stablehlo.gather".*slice_sizes = array<i64: ([\d, ]+)>.*xui8>,', text)


def arrays_of_bytes_that_are_cut(text):
    return re.findall(r"dynamic_slice.*: \(tensor<([\dx]+)xui8>", text)


def test_resident_images_are_gathered_whole_and_flat(experiment):
    programs = compiler(experiment)
    assert gathers_of_bytes(programs.updates(16)) == [f"1, {PIXELS}"]
    assert gathers_of_bytes(programs.evaluation()) == [f"1, {PIXELS}"]


def test_streamed_images_are_not_gathered(experiment):
    assert gathers_of_bytes(compiler(streamed(experiment)).updates(16)) == []


def test_micro_batches_of_streamed_images_are_cut_from_flat_ones(experiment):
    ghost = streamed(experiment).with_task(
        model=ResNet(stages=(1,), width=2, norm=BatchNorm(ghost=8))
    )
    text = compiler(dataclasses.replace(ghost, max_device_batch=8)).updates(16)
    assert arrays_of_bytes_that_are_cut(text) == [f"2x8x{PIXELS}"]
    assert gathers_of_bytes(text) == []


def test_an_array_and_its_shape_alone_become_equally_flat():
    for shape in [(5,), (5, 3), (5, 4, 2), (5, 4, 2, 3)]:
        rows = np.arange(np.prod(shape)).reshape(shape)
        flat, described = flattened(rows), flattened(jax.ShapeDtypeStruct(shape, rows.dtype))
        assert flat.shape == described.shape == (shape if len(shape) == 1 else (5, rows[0].size))
        assert (flat.ravel() == rows.ravel()).all() and described.dtype == rows.dtype
        element = jax.ShapeDtypeStruct(shape[1:], rows.dtype)
        np.testing.assert_array_equal(unflattened([flat], [element])[0], rows)
