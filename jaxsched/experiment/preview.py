"""Previews a run: every hyper-parameter at every update, computed from the plan alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxsched.batch_size.noise_scale import noise_scale
from jaxsched.experiment.experiment import Experiment
from jaxsched.optim.optimizers import SGD
from jaxsched.plan import Plan

_MOST_POINTS = 4001


@dataclass(frozen=True, eq=False)
class Preview:
    """The hyper-parameters that an experiment's updates will use.

    Attributes:
        steps: int[n], the numbers of updates already made; all of them, or about four thousand
            evenly spread ones.
        epochs: f32[n], the same times in epochs.
        curves: f32[n] for each scheduled hyper-parameter, for `batch_size` and, with SGD, for
            `noise_scale`.
        decided_later: what will change them as the run decides, such as "abel", which the curves
            do not know.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment, Preview
        >>> from jaxsched.tasks import ImageClassification
        >>> experiment = Experiment(
        ...     name="steps",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=2, batch_size=250),),
        ...     optimizer=js.SGD(js.MultiStep(0.1, milestones=(1,))),
        ... )
        >>> shown = Preview.of(experiment, experiment.plan(num_examples=1000))
        >>> shown.steps.tolist(), [f"{lr:.2f}" for lr in shown.curves["lr"][2:6]]
        ([0, 1, 2, 3, 4, 5, 6, 7], ['0.10', '0.10', '0.01', '0.01'])
    """

    steps: np.ndarray
    epochs: np.ndarray
    curves: Mapping[str, np.ndarray]
    decided_later: tuple[str, ...] = ()

    @classmethod
    def of(cls, experiment: Experiment, plan: Plan) -> "Preview":
        """Computes the hyper-parameters of an experiment over its plan."""
        last = plan.total_steps - 1
        steps = np.unique(np.linspace(0, last, min(plan.total_steps, _MOST_POINTS)).astype(int))
        times = jnp.asarray(steps)
        schedules = experiment.optimizer.schedules()
        curves = {name: np.asarray(plan.in_updates(s)(times)) for name, s in schedules.items()}
        sizes = np.array([plan.batch_size_at(int(step)) for step in steps])
        curves["batch_size"] = sizes
        if isinstance(experiment.optimizer, SGD):
            lr, momentum = curves["lr"], curves["momentum"]
            # At a momentum of 1 the noise scale is infinite, which no axis can show.
            finite = momentum < 1
            known = noise_scale(lr, sizes, plan.num_examples, np.where(finite, momentum, 0.0))
            curves["noise_scale"] = np.where(finite, known, np.nan)
        later = [n for n in ("abel", "plateau") if n in experiment.optimizer.stateful_specs()]
        later += ["batch_growth"] if experiment.batch_growth is not None else []
        return cls(steps, np.asarray(plan.epoch_at(times)), curves, tuple(later))
