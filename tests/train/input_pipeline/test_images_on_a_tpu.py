"""What the update does with the bytes of images, as its text lowered for a TPU shows it."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest

from jaxsched.data import Streamed
from jaxsched.models import BatchNorm, ResNet
from jaxsched.train.distributed.jit import JitDriver
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


def update(experiment):
    """The text of the update of 16 images of 8×8."""
    dataset, driver = experiment.task.data.load(), Lowering(jax.devices()[:1])
    plan = experiment.plan(len(dataset.train))
    task = experiment.task.build(dataset, dtype=jnp.float32)
    traced = TracedExperiment(SharedProgramSpec((experiment,), plan), plan, task, plan.batch_sizes)
    data = place_data(driver, dataset, task)
    return ProgramCompiler(driver, traced, data.training, data.evaluation).updates(16)


def fed(experiment, feed):
    data = experiment.task.data
    return experiment.with_task(data=data if feed == "resident" else Streamed(data))


@pytest.mark.parametrize("feed", ["resident", "streamed"])
def test_an_update_gathers_no_bytes_but_whole_images(experiment, feed):
    text = update(fed(experiment, feed))
    assert text.count("xui8>") > 20  # the shifted images that a crop is chosen from
    found = re.findall(r'"stablehlo.gather".*slice_sizes = array<i64: ([\d, ]+)>.*xui8>,', text)
    assert found == ([f"1, {PIXELS}"] if feed == "resident" else [])


def test_micro_batches_of_streamed_images_are_cut_from_flat_ones(experiment):
    cut = dataclasses.replace(
        fed(experiment, "streamed").with_task(
            model=ResNet(stages=(1,), width=2, norm=BatchNorm(ghost=8))
        ),
        max_device_batch=8,
    )
    slices = re.findall(r"dynamic_slice.*: \(tensor<([\dx]+)xui8>", update(cut))
    assert slices == [f"2x8x{PIXELS}"]
