"""The plan of a run that goes on from a checkpoint."""

from collections.abc import Mapping
from typing import Any

from jaxsched.experiment.experiment import Experiment
from jaxsched.plan import Phase, Plan


def plan_so_far(experiment: Experiment, plan: Plan, content: Mapping[str, Any]) -> Plan:
    """Returns the plan that a resumed run continues with.

    That is the experiment's, unless it learns its batch sizes: then it is the batch sizes learned
    so far, the last of which stays for as many epochs as the experiment has left.

    Args:
        experiment: the experiment that continues.
        plan: the experiment's plan.
        content: the JSON of the checkpoint.
    """
    if experiment.batch_growth is None:
        return plan
    *before, last = (Phase(*phase) for phase in content["phases"])
    left = plan.total_epochs - sum(phase.epochs for phase in before)
    return Plan((*before, Phase(left, last.batch_size)), plan.num_examples)
