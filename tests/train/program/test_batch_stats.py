"""Which examples the statistics of batch norm are recomputed from."""

import flax.linen as nn
import jax
import numpy as np
import pytest

import jaxsched as js
from jaxsched.data import Arrays
from jaxsched.experiment import Experiment
from jaxsched.models import LinenModule
from jaxsched.tasks import Supervised
from jaxsched.train import Program

EXAMPLES = 60


class Counter(nn.Module):
    """Its norm's mean is the share of each example, because their inputs are unit vectors."""

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(2)(nn.BatchNorm(not train)(x))


@pytest.fixture(scope="module", params=[1, 4])
def program(request):
    units, labels = np.eye(EXAMPLES, dtype=np.float32), np.arange(EXAMPLES) % 2
    experiment = Experiment(
        name="units",
        task=Supervised(LinenModule(Counter()), Arrays((units, labels), test=(units, labels))),
        phases=(js.Phase(epochs=3, batch_size=8),),  # 8 is no divisor of 60
        optimizer=js.SGD(0.1),
        num_devices=request.param,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxsched.train.program.batch_stats.EVALUATION_BATCH", 25)
        yield Program(experiment, experiment.task.data.load())


def uses(program, step, num_examples):
    """How often each example is used for the statistics of weights after `step` updates."""
    params = program.init(0).params
    found = program.recompute_batch_stats(params, seed=0, step=step, num_examples=num_examples)
    (stats,) = jax.device_get(found["batch_stats"]).values()
    # The mean of an example's own input is its uses by those of all.
    counts = stats["mean"] / stats["mean"][stats["mean"] > 0].min()
    np.testing.assert_allclose(counts, counts.round(), atol=1e-3)
    return counts.round().astype(int)


@pytest.mark.slow
def test_all_examples_are_used_once_whenever_it_is(program):
    for step in range(program.plan.total_steps + 1):
        np.testing.assert_array_equal(uses(program, step, EXAMPLES), 1)
        np.testing.assert_array_equal(uses(program, step, 10 * EXAMPLES), 1)


def test_a_part_of_the_examples_are_the_next_ones_and_none_is_used_twice(program):
    size = program._batch_stats._batches[-1].size
    for step in range(program.plan.total_steps):
        counts = uses(program, step, size)
        assert counts.max() == 1 and size <= counts.sum() <= size + 4
        epoch, place = program.plan.place_at(step)
        order = np.asarray(program.order(0, epoch))[:EXAMPLES]
        if place + counts.sum() <= EXAMPLES:
            assert counts[order[place : place + counts.sum()]].all()
