"""The studies of a quarter of an hour with a tiny network and few images: a rehearsal on a CPU.

    python experiments/gpu/quarter_hour.py --size smoke --workdir runs/rehearsal

Schedules, targets and data are the real ones; what comes out says nothing. Schedules that count
epochs end before their last decay, because the runs are shorter.
"""

import dataclasses
from pathlib import Path

import jaxsched as js
from jaxsched.bench import Study, load_study
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, ResNet

STUDIES = Path(__file__).parents[1] / "studies"
NUM_TRAIN, EPOCHS, SMALLER = 640, 0.04, 32


def rehearsed(run: Experiment) -> Experiment:
    """Returns the run with a tiny network, few images, fewer epochs and smaller batches."""
    group = run.task.batch_group
    norm = BatchNorm(ghost=group and group // SMALLER)
    phases = tuple(js.Phase(EPOCHS * p.epochs, p.batch_size // SMALLER) for p in run.phases)
    return dataclasses.replace(
        run.with_task(
            model=ResNet(stages=(1,), width=4, norm=norm),
            data=Subset(Cifar10(folder="data"), num_train=NUM_TRAIN),
        ),
        phases=phases,
        evaluate_every=sum(phase.epochs for phase in phases),
        num_devices=1,
    )


def rehearsal(name: str) -> Study:
    """Returns the rehearsal of the study in this file: its baseline and one other run, one seed."""
    study = load_study(STUDIES / f"{name}.py", "quarter_hour")
    baseline = study.manifest().baseline
    first, *_ = (run for run in study.experiments if run.name != baseline)
    runs = [run for run in study.experiments if run.name in (baseline, first.name)]
    return dataclasses.replace(
        study,
        name=study.name.replace("quarter_hour", "rehearsal"),
        experiments=tuple(map(rehearsed, runs)),
        seeds=study.seeds[:1],
        published={},
    )


sizes = {name: rehearsal(name) for name in ("lr_schedulers", "speedrun", "dont_decay")}
