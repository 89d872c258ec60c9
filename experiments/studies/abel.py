"""When is a complex schedule worth it? Four schedules, with and without L2 and augmentation.

    jaxsched bench experiments/studies/abel.py               # --size cpu
    jaxsched bench experiments/studies/abel.py --size longer # longer_rest is not run yet
    jaxsched bench experiments/studies/abel.py --size full   # for a GPU; not run yet
    python experiments/figures/abel.py

`data` holds the official files. The question is that of Lewkowycz, "How to decay your learning
rate" (arXiv 2103.12682): where the weight norm bounces, schedules that decay more than once (steps,
cosine, ABEL) beat a constant learning rate with one late decay; without a bounce they do not.
Published, for a WRN-28-10 on all of CIFAR-10 (tables 1 and 2): with L2 3.7 % test error by steps,
3.8 % by ABEL, 3.5 % by cosine, 4.9 % by the simple schedule; without L2 5.0 % by both cosine and
the simple one; without augmentation both 7.3 %, though the norm bounces.

`*_lr_*` and `*_factor_*` ask how much learning rate and decay factor matter to ABEL and to steps,
with L2 and augmentation (figure 3; published only for a ResNet-50 on ImageNet, where ABEL is the
less sensitive to the learning rate, and neither is sensitive to the factor).

`cpu` has the first 5,000 images, a ResNet-8 of width 8, and a weight decay at which its norm
bounces within a few epochs; batch 32, because that is fast on a CPU. A run takes two to four
minutes on one core. `full` is the paper's network and 200 epochs; batch size, L2 and momentum are
not published; common ones are used.

`longer` asks the first question again with a usual weight decay and room for a bounce: 20,000
images, 40 epochs, weight decay 5e-4, a learning rate of 0.1; the four schedules with augmentation,
with and without L2, three seeds, since eight points are at stake. With differences that spread by
0.7 points, as between schedules elsewhere, three seeds see 2.4 points in 80 of 100 studies; the
spread here may be larger. Predicted before any run: with L2 the norm bounces, and late decay ends 2
points or more below the best of the others; without L2 the norm only grows, ABEL decays once, and
all four end within 2 points. `longer_rest` has the same runs without augmentation and the other
learning rates and decay factors. Seconds are no claim.
"""

import dataclasses

import jaxsched as js
from jaxsched.bench import Published, Study, published_in
from jaxsched.data import Augment, Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import CifarResNet, WideResNet
from jaxsched.tasks import ImageClassification

RATE = 0.1
FACTOR = 0.2
SEEDS = (0, 1, 2)
TABLES = "arXiv 2103.12682, tables 1 and 2: WRN-28-10"
PUBLISHED = published_in(
    TABLES,
    {
        "late_l2_aug": 0.951,
        "steps_l2_aug": 0.963,
        "cosine_l2_aug": 0.965,
        "abel_l2_aug": 0.962,
        "late_l2": 0.927,
        "cosine_l2": 0.927,
        "late_aug": 0.950,
        "cosine_aug": 0.950,
    },
)


def stepped(base: Experiment, rate: float, factor: float) -> js.Optimizer:
    """The optimizer with steps at the times of WRN training: epochs 60, 120 and 160 of 200."""
    lr = js.MultiStep(rate, milestones=("30%", "60%", "80%"), factor=factor)
    return dataclasses.replace(base.optimizer, lr=lr)


def by_abel(base: Experiment, rate: float, factor: float) -> js.Optimizer:
    """The optimizer with a constant learning rate, which ABEL decays."""
    abel = js.Abel(decay_factor=factor, last_decay="85%")
    return dataclasses.replace(base.optimizer, lr=rate, abel=abel)


def schedules(base: Experiment, weight_decay: float) -> tuple[Experiment, ...]:
    """The four schedules with and without this weight decay, with and without augmentation."""
    optimizers = {
        "late": base.optimizer,
        "steps": stepped(base, RATE, FACTOR),
        "cosine": dataclasses.replace(base.optimizer, lr=js.Cosine(RATE, duration="100%")),
        "abel": by_abel(base, RATE, FACTOR),
    }
    settings = {
        "l2_aug": (weight_decay, Augment()),
        "l2": (weight_decay, Augment(pad=0, flip=False)),
        "aug": (0.0, Augment()),
        "none": (0.0, Augment(pad=0, flip=False)),
    }
    return tuple(
        dataclasses.replace(
            base.with_task(augment=augment),
            name=f"{schedule}_{setting}",
            optimizer=dataclasses.replace(optimizer, weight_decay=decay),
        )
        for setting, (decay, augment) in settings.items()
        for schedule, optimizer in optimizers.items()
    )


def robustness(base: Experiment) -> tuple[Experiment, ...]:
    """Steps and ABEL at other learning rates and other decay factors."""
    settings = {
        **{f"lr_{rate:g}": (rate, FACTOR) for rate in (RATE / 4, 4 * RATE)},
        **{f"factor_{factor:g}": (RATE, factor) for factor in (0.1, 0.5)},
    }
    return tuple(
        dataclasses.replace(base, name=f"{schedule}_{setting}", optimizer=how(base, rate, factor))
        for setting, (rate, factor) in settings.items()
        for schedule, how in {"steps": stepped, "abel": by_abel}.items()
    )


def published_of(runs: tuple[Experiment, ...]) -> dict[str, Published]:
    """The published numbers of these runs."""
    names = {run.name for run in runs}
    return {name: of for name, of in PUBLISHED.items() if name in names}


base = Experiment(
    name="late",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Subset(Cifar10(folder="data"), num_train=5_000)
    ),
    phases=(js.Phase(epochs=30, batch_size=32),),
    optimizer=js.SGD(
        js.MultiStep(RATE, milestones=("85%",), factor=FACTOR),
        momentum=0.9,
        weight_decay=2e-3,
    ),
    evaluate_every=2.0,
)
long = dataclasses.replace(
    base.with_task(data=Subset(Cifar10(folder="data"), num_train=20_000)),
    phases=(js.Phase(epochs=40, batch_size=32),),
    optimizer=dataclasses.replace(base.optimizer, weight_decay=5e-4),
    num_devices=1,
)
long_runs = (*schedules(long, 5e-4), *robustness(long))
augmented = tuple(run for run in long_runs if run.name.endswith("aug"))
rest = tuple(run for run in long_runs if run not in augmented)
large = dataclasses.replace(
    base.with_task(model=WideResNet(depth=28, widen=10), data=Cifar10(folder="data")),
    phases=(js.Phase(epochs=200, batch_size=128),),
    optimizer=dataclasses.replace(base.optimizer, weight_decay=5e-4, nesterov=True),
)

sizes = {
    "cpu": Study(
        name="abel",
        experiments=(*schedules(base, 2e-3), *robustness(base)),
        seeds=SEEDS,
        target=0.5,
        baseline="late_l2_aug",
        published=PUBLISHED,
    ),
    "longer": Study(
        name="abel_longer",
        experiments=augmented,
        seeds=SEEDS,
        target=0.6,
        baseline="late_l2_aug",
        published=published_of(augmented),
    ),
    "longer_rest": Study(
        name="abel_longer_rest",
        experiments=rest,
        seeds=SEEDS,
        target=0.6,
        baseline="late_l2",
        published=published_of(rest),
    ),
    "full": Study(
        name="abel_full",
        experiments=(*schedules(large, 5e-4), *robustness(large)),
        seeds=SEEDS,
        target=0.95,
        baseline="late_l2_aug",
        published=PUBLISHED,
    ),
}
