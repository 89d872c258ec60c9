"""The short run that shows whether the weight norm bounces: the experiment at its highest rate."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsched.experiment import Experiment, freeze_hyperparams, hyperparams_at_peak_lr
from jaxsched.plan import Phase, Plan
from jaxsched.tracking.progress import Progress
from jaxsched.tracking.recorder import initial_layers, load, plan_for, record_path, record_run
from jaxsched.tracking.records import Record, read_record
from jaxsched.train import Evaluation, Program
from jaxsched.tune.weight_norm.bounce import Bounce, advice, find_bounce, is_decided
from jaxsched.tune.weight_norm.plots import draw_norms, text_norms


@dataclass(frozen=True)
class Diagnosis:
    """What the short run said.

    Attributes:
        bounce: the verdict, with the evidence.
        text: the curve and the advice, for the terminal.
        picture: where the norms are drawn.
        record: of the run.
    """

    bounce: Bounce
    text: str
    picture: Path
    record: Path


def diagnose(
    experiment: Experiment, folder: Path, *, source_text: str, progress: Progress
) -> Diagnosis:
    """Runs until the verdict is known, and says it; a run on record is not made again.

    Args:
        experiment: as `diagnosis_experiment` made it.
        folder: of the record and the picture.
        source_text: of the config file.
        progress: what shows how far it is.

    Raises:
        ValueError: when the run diverged before there was anything to see.
    """
    path = record_path(folder, experiment, experiment.seed)
    if not (path.exists() and read_record(path).is_complete):
        _run(experiment, path, source_text, progress)
    record = read_record(path)
    if not record.evaluations:
        raise ValueError(
            f"{record.name} {(record.end or {}).get('reason')}; a lower learning rate may train."
        )
    epochs, norms = _curve(record.header["initial_layers"], record.evaluations)
    bounce, picture = find_bounce(epochs, norms), path.with_suffix(".png")
    draw_norms(record.evaluations, record.header["initial_layers"], bounce, picture)
    curve = text_norms(record.evaluations, record.header["initial_layers"])
    return Diagnosis(bounce, f"{curve}\n{_advice(experiment, record, bounce)}", picture, path)


def _run(experiment: Experiment, path: Path, source_text: str, progress: Progress) -> None:
    plan = plan_for(experiment)
    progress.start(plan.examples_at(plan.total_steps))
    progress.show(f"{experiment.name}: compiling")
    program = Program(experiment, load(experiment.data))
    initial = initial_layers(program, experiment.seed)

    def stop(rows: Sequence[Evaluation]) -> str:
        known = bool(rows) and is_decided(*_curve(initial, [dataclasses.asdict(r) for r in rows]))
        return f"stopped at update {rows[-1].step}: the verdict is known" if known else ""

    run = progress.run(experiment.name)
    record_run(
        program,
        experiment.seed,
        path,
        source_text=source_text,
        on_evaluation=run.evaluation,
        on_examples=run.done,
        stop=stop,
    )


def _curve(
    initial_layers: Mapping[str, float], rows: Sequence[Mapping[str, Any]]
) -> tuple[list[float], list[float]]:
    """Epochs and |w|², the initial one first."""
    norms = [sum(initial_layers.values()), *(row["squared_norm"] for row in rows)]
    return [0.0, *(row["epoch"] for row in rows)], norms


def _advice(experiment: Experiment, record: Record, bounce: Bounce) -> str:
    last, plan = record.evaluations[-1], plan_for(experiment)
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
    """The experiment with every hyper-parameter held where its learning rate is highest.

    Whether |w|² bounces is a matter of a network, its data and its regularisation at the rate that
    training starts from; what a schedule does later would hide it. So there is one phase, the first
    one's batch size, no ABEL, no plateau and no averaging, and an evaluation each epoch.

    Args:
        experiment: whose norm is looked at.
        plan: of the experiment.
        epochs: how long to look at most; by default as long as the experiment trains.

    Raises:
        ValueError: when the optimizer has no learning rate that is known.

    Example:
        >>> import jaxsched as js
        >>> from jaxsched.data import Synthetic
        >>> from jaxsched.models import R9
        >>> from jaxsched.experiment import Experiment
        >>> experiment = Experiment(
        ...     name="cycle",
        ...     model=R9,
        ...     data=Synthetic(),
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
