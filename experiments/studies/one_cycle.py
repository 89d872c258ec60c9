"""Super-convergence: is one cycle to a very large learning rate as good as 8 times the updates?

    jaxsched bench experiments/studies/one_cycle.py               # --size cpu
    jaxsched bench experiments/studies/one_cycle.py --size full   # for a GPU; not run yet
    python experiments/figures/one_cycle.py

`data` holds the official files. The questions are those of Smith and Topin, "Super-convergence"
(arXiv 1708.07120), and Smith, "A disciplined approach to neural network hyper-parameters" (arXiv
1803.09820). Published, for a ResNet-56 on all of CIFAR-10 (the first three groups single runs at
batch 1,000, from the logs that the author released; the last one means of four at batch 512):

    cycle                  lr 0.1 → 3 → 0.1           10,000 updates  92.44 %
    piecewise_8x           lr 0.35, two decays        80,000          90.32 %
    cycle_wd_*             1e-3, 1e-5, 1e-6           10,000          diverged, 88.28, 87.25 %
    cycle_momentum_*       0.80, 0.85, 0.95           10,000          91.86, 92.29, 90.74 %
    one_cycle              momentum 0.95 → 0.8 → 0.95  9,277          92.0 %
    one_cycle_rising       momentum 0.9 → 1 → 0.9      9,277          91.4 %
    one_cycle_momentum_*   0.85, 0.90, 0.95            9,277          90.8, 91.4, 92.1 %

(A ResNet-20: 90.42 % and 88.64 %.) `piecewise` has the updates of the cycle: figure 8 of the second
paper compares the two. `one_cycle_batch_*` is its figure 15: at equal time batch sizes 256, 512
and 1,024 end within one standard deviation of each other, on CIFAR-100. `one_cycle_2x` was added
when the others had run and 400 updates were known to be too few.

`cpu` has the first 5,000 images and a batch of 100, so that an epoch has the paper's 50 updates, a
ResNet-20 of width 8, 8 epochs and 64, and batch norm over halves of the batch, as the paper's is
over eighths. Weight decays, momenta and 1cycle's learning rates are the paper's. The learning rates
of the cycle and of the steps are a third of the paper's: tried once for 8 epochs with another seed,
a peak of 3 ended at 39 %, of 1 at 51 %, of 0.5 at 56 %, and 1 is the largest that trains well. A
run of 8 epochs takes a minute on one core, one of 64 seven, all 51 runs an hour and a quarter.

`full` is a ResNet-56 on all of CIFAR-10. Batch sizes, epochs, learning rates, momenta, weight
decays and the momentum of batch norm's running statistics are the papers'. Their runs used eight
GPUs, each with a batch norm of its own: ours normalises groups of as many images. `piecewise` in as
many updates as the cycle is ours. Two differences remain: Caffe has the learning rate inside the
momentum buffer, we have it outside; and the author's running statistics are those of one GPU.
"""

import dataclasses
from typing import Any

import jaxsched as js
from jaxsched.bench import Study, published_in
from jaxsched.data import Augment, Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, CifarResNet
from jaxsched.tasks import ImageClassification

EPOCHS = 8
BATCH_SIZE = 100
SEEDS = (0, 1, 2)

SUPER = "arXiv 1708.07120, the author's logs: ResNet-56, n=1"
DISCIPLINED = "arXiv 1803.09820: ResNet-56, mean of 4"
PUBLISHED = {
    **published_in(
        SUPER,
        {
            "cycle": 0.9244,
            "piecewise_8x": 0.9032,
            "cycle_wd_1e-3": 0.0995,  # the last accuracy in the log of a run that diverged
            "cycle_wd_1e-5": 0.8828,
            "cycle_wd_1e-6": 0.8725,
            "cycle_momentum_0.80": 0.9186,
            "cycle_momentum_0.85": 0.9229,
            "cycle_momentum_0.95": 0.9074,
        },
    ),
    **published_in(
        DISCIPLINED,
        {
            "one_cycle": 0.920,
            "one_cycle_rising": 0.914,
            "one_cycle_momentum_0.85": 0.908,
            "one_cycle_momentum_0.90": 0.914,
            "one_cycle_momentum_0.95": 0.921,
        },
    ),
}

PEAK = 1.0
RATE = 0.35 / 3

# As in the author's logs: 41 of 95 epochs up, as many down, the rest at a thousandth of the base.
ONE_CYCLE = js.SmithOneCycle(0.08, 0.8, half="43%")
AGAINST = js.OneCycleMomentum("86%", high=0.95, low=0.8, rise=0.5, anneal="linear")
# Momentum in the shape of the learning rate: from 0.9 to 1 and back.
ALONG = js.OneCycle(1.0, "86%", rise=0.5, div_factor=1 / 0.9, final_div_factor=1, anneal="linear")


def triangle(peak: float) -> js.Schedule:
    """The paper's cycle: from a thirtieth of the peak to the peak and back."""
    return js.Cyclic(peak / 30, peak, up="50%")


def variant(run: Experiment, name: str, **changes: Any) -> Experiment:
    """The same run with other fields of the optimizer, evaluated only at its end."""
    return dataclasses.replace(
        run,
        name=name,
        optimizer=dataclasses.replace(run.optimizer, **changes),
        evaluate_every=sum(phase.epochs for phase in run.phases),
    )


def against_steps(cycle: Experiment, rate: float) -> tuple[Experiment, ...]:
    """The cycle, steps from this learning rate in as many updates, and in eight times as many."""
    steps = js.MultiStep(rate, milestones=("62.5%", "87.5%"), factor=0.1)
    stepped = dataclasses.replace(cycle.optimizer, lr=steps)
    piecewise = dataclasses.replace(cycle, name="piecewise", optimizer=stepped)
    return cycle, piecewise, longer(piecewise, 8)


def longer(run: Experiment, times: int) -> Experiment:
    """The same run with its schedules stretched over so many times the updates."""
    (phase,) = run.phases
    return dataclasses.replace(
        run,
        name=f"{run.name}_{times}x",
        phases=(js.Phase(times * phase.epochs, phase.batch_size),),
        evaluate_every=phase.epochs,
    )


def settings_of(cycle: Experiment) -> tuple[Experiment, ...]:
    """The runs with other weight decays and momenta of the super-convergence paper."""
    return (
        variant(cycle, "cycle_wd_1e-3", weight_decay=1e-3),
        variant(cycle, "cycle_wd_1e-5", weight_decay=1e-5),
        variant(cycle, "cycle_wd_1e-6", weight_decay=1e-6),
        variant(cycle, "cycle_momentum_0.80", momentum=0.80),
        variant(cycle, "cycle_momentum_0.85", momentum=0.85),
        variant(cycle, "cycle_momentum_0.95", momentum=0.95),
    )


def cyclical_momentum(one_cycle: Experiment) -> tuple[Experiment, ...]:
    """The runs whose momentum falls as the learning rate rises, rises with it, or is constant."""
    return (
        one_cycle,
        variant(one_cycle, "one_cycle_rising", momentum=ALONG),
        variant(one_cycle, "one_cycle_momentum_0.85", momentum=0.85),
        variant(one_cycle, "one_cycle_momentum_0.90", momentum=0.90),
        variant(one_cycle, "one_cycle_momentum_0.95", momentum=0.95),
    )


def batch_sizes(one_cycle: Experiment, *phases: js.Phase) -> tuple[Experiment, ...]:
    """The runs at other batch sizes, each with as many epochs as take equally long."""
    return tuple(
        variant(
            dataclasses.replace(one_cycle, phases=(phase,)), f"one_cycle_batch_{phase.batch_size}"
        )
        for phase in phases
    )


cycle = Experiment(
    name="cycle",
    task=ImageClassification(
        model=CifarResNet(depth=20, width=8, norm=BatchNorm(momentum=0.95, ghost=50)),
        data=Subset(Cifar10(folder="data"), num_train=5_000),
        augment=Augment(pad=0),
    ),
    phases=(js.Phase(EPOCHS, BATCH_SIZE),),
    optimizer=js.SGD(triangle(PEAK), momentum=0.9, weight_decay=1e-4),
    # mirrored only
    evaluate_every=EPOCHS / 4,
    max_device_batch=50,  # one group of batch norm at a time is fastest on a CPU
)
one_cycle = dataclasses.replace(
    cycle,
    name="one_cycle",
    optimizer=js.SGD(ONE_CYCLE, momentum=AGAINST, weight_decay=1e-4, nesterov=True),
)

large_cycle = dataclasses.replace(
    cycle.with_task(
        model=CifarResNet(depth=56, norm=BatchNorm(momentum=0.95, ghost=125)),
        data=Cifar10(folder="data"),
    ),
    phases=(js.Phase(epochs=200, batch_size=1000),),
    optimizer=js.SGD(triangle(3.0), momentum=0.9, weight_decay=1e-4),
    evaluate_every=10.0,
    max_device_batch=None,
)
large_one_cycle = dataclasses.replace(
    large_cycle.with_task(model=CifarResNet(depth=56, norm=BatchNorm(momentum=0.95, ghost=64))),
    name="one_cycle",
    phases=(js.Phase(epochs=95, batch_size=512),),
    optimizer=one_cycle.optimizer,
)
# The running statistics of the papers' baseline remember a thousand updates.
slow = CifarResNet(depth=56, norm=BatchNorm(momentum=0.999, ghost=125))
_, *stepped = against_steps(large_cycle, 0.35)

sizes = {
    "cpu": Study(
        name="one_cycle",
        experiments=(
            *against_steps(cycle, RATE),
            *settings_of(cycle),
            *cyclical_momentum(one_cycle),
            # A core takes equally long for an image in any batch: equal epochs are equal time.
            *batch_sizes(
                one_cycle, js.Phase(EPOCHS, BATCH_SIZE // 2), js.Phase(EPOCHS, BATCH_SIZE * 2)
            ),
            longer(one_cycle, 2),
        ),
        seeds=SEEDS,
        target=0.45,
        published=PUBLISHED,
    ),
    "full": Study(
        name="one_cycle_full",
        experiments=(
            large_cycle,
            *(run.with_task(model=slow) for run in stepped),
            *settings_of(large_cycle),
            *cyclical_momentum(large_one_cycle),
            *batch_sizes(large_one_cycle, js.Phase(70, 256), js.Phase(116, 1024)),
            variant(large_one_cycle, "one_cycle_wd_3e-4", weight_decay=3e-4),
            variant(large_one_cycle, "one_cycle_wd_1e-5", weight_decay=1e-5),
        ),
        seeds=SEEDS,
        target=0.9,
        published=PUBLISHED,
    ),
}
