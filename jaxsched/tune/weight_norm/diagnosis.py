"""A run at the experiment's highest learning rate that shows whether the weight norm bounces."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.experiment import Experiment, freeze_hyperparams, hyperparams_at_peak_lr
from jaxsched.plan import Phase, Plan
from jaxsched.tracking.claim import claim_record
from jaxsched.tracking.progress import Progress
from jaxsched.tracking.recorder import initial_layers, load, plan_for, record_path, record_run
from jaxsched.tracking.records import Record, is_complete, read_record
from jaxsched.train import Evaluation, Program
from jaxsched.train.same_data import require_same_data
from jaxsched.tune.weight_norm.bounce import (
    WHAT_A_BOUNCE_IS,
    Bounce,
    advice,
    find_bounce,
    is_decided,
)
from jaxsched.tune.weight_norm.plots import draw_norms, text_norms


@dataclass(frozen=True)
class Diagnosis:
    """The result of the run.

    Attributes:
        bounce: the trend of the norm, with the evidence.
        text: the curve and the advice, for the terminal.
        plot: the path of the plot.
        record: the path of the record.
    """

    bounce: Bounce
    text: str
    plot: Path
    record: Path


def diagnose(
    experiment: Experiment, folder: Path, *, source_text: str, progress: Progress
) -> Diagnosis:
    """Trains until the trend of the norm is known; a run with a finished record is not repeated.

    Args:
        experiment: an experiment from `diagnosis_experiment`.
        folder: the folder of the record and the plot.
        source_text: the text of the config file.
        progress: shows the progress.

    Raises:
        BlockingIOError: when another process makes this run.
        ValueError: when the run diverged before its first evaluation, or was made with other data.
    """
    path = record_path(folder, experiment, experiment.seed)
    with claim_record(path):
        if not is_complete(path):
            _run(experiment, path, source_text, progress)
        record = read_record(path)
    require_same_data(path, record.header, load(experiment.task.data))
    if not record.evaluations:
        raise ValueError(
            f"{record.name} {(record.end or {}).get('reason')}; a lower learning rate may train."
        )
    epochs, norms = _curve(record.header["initial_layers"], record.evaluations)
    bounce, plot = find_bounce(epochs, norms), path.with_suffix(".png")
    layers, said = record.header["initial_layers"], _advice(experiment, record, bounce)
    draw_norms(record.evaluations, layers, bounce, plot, advice=said)
    curve = text_norms(record.evaluations, layers, width=progress.width)
    words = [_fold(text, progress.width) for text in (WHAT_A_BOUNCE_IS, said)]
    return Diagnosis(bounce, "\n".join([curve, *words]), plot, path)


def _fold(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _run(experiment: Experiment, path: Path, source_text: str, progress: Progress) -> None:
    plan = plan_for(experiment)
    progress.start(plan.examples_at(plan.total_steps))
    progress.show(f"{experiment.name}: compiling")
    program = Program(experiment, load(experiment.task.data))
    initial = initial_layers(program, experiment.seed)

    def stop(rows: Sequence[Evaluation]) -> str:
        known = bool(rows) and is_decided(*_curve(initial, [dataclasses.asdict(r) for r in rows]))
        return f"stopped at update {rows[-1].step}: the trend is known" if known else ""

    run = progress.run(experiment.name, experiment.task.main_metric)
    record_run(
        program,
        experiment.seed,
        path,
        source_text=source_text,
        on_evaluation=run.evaluation,
        on_examples=run.done,
        stop=stop,
        is_claimed=True,
    )


def _curve(
    initial_layers: Mapping[str, float], rows: Sequence[Mapping[str, Any]]
) -> tuple[list[float], list[float]]:
    """The epochs and |w|² at them, from the initial weights on."""
    norms = [sum(initial_layers.values()), *(row["squared_norm"] for row in rows)]
    return [0.0, *(row["epoch"] for row in rows)], norms


def _advice(experiment: Experiment, record: Record, bounce: Bounce) -> str:
    last, plan = record.evaluations[-1], plan_for(experiment)
    # Decay in the gradient (coupled L2) is amplified by the momentum buffer, other decay is not.
    is_inside_momentum = getattr(experiment.optimizer, "coupling", "l2") == "l2"
    return advice(
        bounce,
        learning_rate=last["learning_rate"],
        momentum=last["momentum"] if is_inside_momentum else 0.0,
        weight_decay=last["weight_decay"],
        steps_per_epoch=plan.num_examples / last["batch_size"],
    )


def diagnosis_experiment(
    experiment: Experiment, plan: Plan, epochs: float | None = None
) -> Experiment:
    """Returns the experiment with every hyper-parameter constant at its highest learning rate.

    Whether |w|² bounces depends on the network, its data and its regularisation at the learning
    rate that training starts from; later changes by a schedule would hide it. The run therefore has
    one phase with the first batch size, no ABEL, no plateau and no averaging, and an evaluation
    each epoch.

    Args:
        experiment: the experiment to diagnose.
        plan: the plan of the experiment.
        epochs: the most epochs to train; by default as many as the experiment trains.

    Raises:
        ValueError: when none of the optimizer's schedules is known to be the learning rate.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> from jaxsched.tasks import ImageClassification
        >>> from jaxsched.tune import diagnosis_experiment
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     task=ImageClassification(model=R9, data=Synthetic()),
        ...     phases=(js.Phase(epochs=10, batch_size=250),),
        ...     optimizer=js.SGD(js.OneCycle(0.5, 10, div_factor=10.0), momentum=0.9),
        ... )
        >>> diagnosis_experiment(experiment, experiment.plan(num_examples=1000)).optimizer.lr
        Constant(value=0.5)
    """
    return dataclasses.replace(
        experiment,
        batch_growth=None,
        name=f"{experiment.name}_diagnosis",
        phases=(Phase(epochs or plan.total_epochs, experiment.phases[0].batch_size),),
        optimizer=freeze_hyperparams(
            experiment.optimizer, hyperparams_at_peak_lr(experiment, plan)
        ),
        evaluate_every=1.0,
        weight_norms=True,
    )
