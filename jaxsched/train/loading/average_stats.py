"""Re-estimates the batch-norm statistics of an average, as its run would have done."""

import jax
import jax.numpy as jnp

from jaxsched.data import Dataset
from jaxsched.experiment.experiment import Experiment
from jaxsched.models import BatchStats, Params
from jaxsched.plan import Plan
from jaxsched.train.distributed.make_driver import make_driver
from jaxsched.train.input_pipeline.place import place_data
from jaxsched.train.program.batch_stats import BatchStatsRecomputation
from jaxsched.train.program.compiler import ProgramCompiler
from jaxsched.train.program.shared_program import SharedProgramSpec
from jaxsched.train.program.traced import TracedExperiment


def re_estimated(
    params: Params,
    experiment: Experiment,
    dataset: Dataset,
    *,
    plan: Plan,
    step: int,
    num_shards: int,
) -> BatchStats:
    """Returns the statistics that an evaluation at this step would have used, up to rounding.

    Args:
        params: the average of the weights.
        experiment: the run's experiment, whose optimizer keeps an average, with the run's seed.
        dataset: the run's data set.
        plan: the plan that the run trained.
        step: the number of updates made.
        num_shards: the number of devices of the run, which divide its batches.

    Raises:
        ValueError: when several processes train together, of which one alone would do this.
    """
    if jax.process_count() > 1:
        raise ValueError(
            "the average's batch-norm statistics were not saved with this checkpoint, and one of "
            "several processes cannot re-estimate them; choose the checkpoint of an evaluation, "
            'such as "newest" of a finished run.'
        )
    driver = make_driver("jit", 1)
    task = experiment.task.build(dataset, dtype=jnp.dtype(experiment.precision))
    traced = TracedExperiment(SharedProgramSpec((experiment,), plan), plan, task, plan.batch_sizes)
    data = place_data(driver, dataset, task)
    compiler = ProgramCompiler(driver, traced, data.training, data.evaluation)
    recompute = BatchStatsRecomputation(compiler, data.statistics, plan.num_examples, num_shards)
    epoch, offset = plan.place_at(step)
    num_examples = experiment.optimizer.statistics_examples
    found = recompute(driver.replicate(params), experiment.seed, epoch, offset, num_examples)
    return found["batch_stats"]
