"""Super-convergence: does one cycle to a large rate beat steps in eight times the updates?

    study=experiments/studies/super_convergence.py
    jaxsched bench $study --size rates --workdir experiments/results
    python experiments/studies/tuned.py super_convergence
    jaxsched bench $study --workdir experiments/results
    jaxsched bench $study --size settings --workdir experiments/results
    jaxsched bench $study --size full   # for a GPU; not run yet

`data` holds the official files. The question is that of L. N. Smith, "A disciplined approach to
neural network hyper-parameters" (arXiv 1803.09820), and of Smith and Topin, "Super-convergence"
(arXiv 1708.07120). Published for a ResNet-32 of four times the width, means of four runs at batch
512: 1cycle from 0.1 to 1 in 100 epochs ends at 91.9 %; steps from 0.1 end at 86.7 % in 100 epochs,
at 89.8 in 400 and at 90.3 in 800. For a ResNet-56 and a cycle to 3 (single runs): 92.4 % with
weight decay 1e-4, 88.3 with 1e-5, and 1e-3 diverges; momentum 0.8, 0.85 and 0.95 instead of 0.9
end at 91.9, 92.3 and 90.7. With 1cycle to 0.8 momentum that falls from 0.95 to 0.8 as the rate
rises ends at 92.0 %, 0.9 at 91.4 (means of four).

Design of `cpu`: 2,000 images, mirrored only, batch 40, weight decay 1e-4, momentum 0.9 and a
ResNet-8 of width 8, which steps learn by heart. The author's 1cycle, as his logs have it, and steps
that fall to a tenth after 62.5 and 87.5 % take 30 epochs each (1,500 updates), and 4 and 8 times as
many. Each of the six has the best of three values by one run each on held-out training images with
a seed of its own: peaks 0.3, 0.8 and 1.5, steps from 0.03, 0.1 and 0.3. Then eight other seeds;
all are compared with steps in 8 times the updates, by their accuracy on all test images at the end.
`settings` has other weight decays and momenta of the cycle in 1,500 updates at the same peak, eight
seeds, compared with the cycle itself. Seconds are no claim.

Power: seeds of the longer runs of an earlier study of cycles (800 and 3,200 updates) differ by 0.5
to 1.5 points. If differences spread by 1.5, eight seeds see 1.7 points in 80 of 100 studies, and
2.4 at the strictest step of Holm's correction for five comparisons.

Predicted before any run, from the papers and a pilot of one seed (54.9 % by the cycle in 1,500
updates, 51.9 by steps in 6,000, at a training accuracy of 99.6): the cycle ends 1 to 4 points above
steps in 8 times the updates and 2 to 5 above steps in as many; steps gain less than a point from 4
to 8 times. A weight decay of 1e-3 ends at least a point lower than 1e-4, 1e-5 within a point of it;
momentum 0.95 ends lowest, the falling one within a point of 0.9.

`full` is the papers' wide ResNet-32 on all images: 3,200 epochs for each seed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jaxsched as js
from jaxsched.bench import Study, published_in
from jaxsched.data import Augment, Cifar10, Subset
from jaxsched.experiment import Experiment, load_module
from jaxsched.models import CifarResNet
from jaxsched.tasks import ImageClassification

tuned = load_module(Path(__file__).with_name("tuned.py"))

NAME = "super_convergence"
SEEDS = tuple(range(8))
PEAKS = (0.3, 0.8, 1.5)
STEP_RATES = (0.03, 0.1, 0.3)
PUBLISHED_RATES = {"steps": 0.1, "cycle": 1.0}
LENGTHS = {"": 1, "_4x": 4, "_8x": 8}
PUBLISHED = published_in(
    "arXiv 1803.09820: wide ResNet-32, mean of 4",
    {"cycle": 0.919, "steps": 0.867, "steps_4x": 0.898, "steps_8x": 0.903},
)
PUBLISHED_SETTINGS = published_in(
    "arXiv 1708.07120, the author's logs: ResNet-56, n=1",
    {
        "cycle": 0.9244,
        "wd_1e-3": 0.0995,  # the last accuracy in the log of a run that diverged
        "wd_1e-5": 0.8828,
        "momentum_0.80": 0.9186,
        "momentum_0.85": 0.9229,
        "momentum_0.95": 0.9074,
    },
)
# The author's logs of the wide ResNet-32 have 46 % up, as many down, the rest at a thousandth of
# the base.
HALF = "46%"
AGAINST = js.OneCycleMomentum("92%", high=0.95, low=0.8, rise=0.5, anneal="linear")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "wd_1e-3": {"weight_decay": 1e-3},
    "wd_1e-5": {"weight_decay": 1e-5},
    "momentum_0.80": {"momentum": 0.80},
    "momentum_0.85": {"momentum": 0.85},
    "momentum_0.95": {"momentum": 0.95},
    "momentum_falling": {"momentum": AGAINST},
}


def contenders(base: Experiment) -> dict[str, Any]:
    """Steps and the cycle at each length, as functions of their rate with the rates to try."""
    shapes = {"steps": (steps, STEP_RATES), "cycle": (one_cycle, PEAKS)}
    return {
        name + suffix: tuned.Contender(made(base, name + suffix, times, schedule), grid)
        for name, (schedule, grid) in shapes.items()
        for suffix, times in LENGTHS.items()
    }


def made(
    base: Experiment, name: str, times: int, schedule: Callable[[float], js.Schedule]
) -> Callable[[float], Experiment]:
    """The run in so many times the updates, as a function of its rate."""
    (phase,) = base.phases
    epochs = times * phase.epochs

    def of(rate: float) -> Experiment:
        return dataclasses.replace(
            base,
            name=name,
            phases=(js.Phase(epochs, phase.batch_size),),
            optimizer=dataclasses.replace(base.optimizer, lr=schedule(rate)),
            evaluate_every=epochs / 4,
        )

    return of


def steps(rate: float) -> js.Schedule:
    """The steps of the papers: to a tenth at 50,000 and 70,000 of 80,000 updates."""
    return js.MultiStep(rate, ("62.5%", "87.5%"), factor=0.1)


def one_cycle(peak: float) -> js.Schedule:
    """The author's 1cycle from a tenth of this peak."""
    return js.SmithOneCycle(peak / 10, peak, half=HALF)


def settings_of(cycle: Experiment) -> tuple[Experiment, ...]:
    """The cycle, and the cycle with each of the other weight decays and momenta."""
    return cycle, *(
        dataclasses.replace(
            cycle, name=name, optimizer=dataclasses.replace(cycle.optimizer, **changes)
        )
        for name, changes in SETTINGS.items()
    )


small = Experiment(
    name="small",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8),
        data=Subset(Cifar10(folder="data"), num_train=2_000),
        augment=Augment(pad=0),  # mirrored only
    ),
    phases=(js.Phase(30, 40),),
    optimizer=js.SGD(0.1, momentum=0.9, weight_decay=1e-4),
    num_devices=1,
)
large = dataclasses.replace(
    small.with_task(model=CifarResNet(depth=32, width=64), data=Cifar10(folder="data")),
    phases=(js.Phase(100, 512),),
    num_devices=None,
)


def study(values: Mapping[str, float]) -> Study:
    """The six contenders at a CPU's size."""
    return Study(
        name=NAME,
        experiments=tuple(one.with_value(values[name]) for name, one in contenders(small).items()),
        seeds=SEEDS,
        target=0.5,
        baseline="steps_8x",
        published=PUBLISHED,
    )


def settings(values: Mapping[str, float]) -> Study:
    """Weight decays and momenta of the cycle at a CPU's size."""
    cycle = contenders(small)["cycle"].with_value(values["cycle"])
    return Study(
        name=f"{NAME}_settings",
        experiments=settings_of(cycle),
        seeds=SEEDS,
        target=0.5,
        published=PUBLISHED_SETTINGS,
    )


large_runs = {
    name: one.with_value(PUBLISHED_RATES[name.partition("_")[0]])
    for name, one in contenders(large).items()
}
sizes = {
    **tuned.when_chosen(NAME, cpu=study, settings=settings),
    "rates": tuned.tuning(NAME, contenders(small)),
    "full": Study(
        name=f"{NAME}_full",
        experiments=(*large_runs.values(), *settings_of(large_runs["cycle"])[1:]),
        seeds=(0, 1, 2),
        target=0.9,
        baseline="steps_8x",
        published=PUBLISHED,
    ),
}
