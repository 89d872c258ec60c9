"""Don't decay the learning rate, increase the batch size: the same curves in fewer updates?

    jaxsched bench experiments/studies/dont_decay.py --workdir experiments/results # --size cpu
    jaxsched bench experiments/studies/dont_decay.py --size larger --workdir experiments/results
    jaxsched bench experiments/studies/dont_decay.py --size full   # for a GPU; not run yet
    python experiments/gpu/quarter_hour.py   # makes `quarter_hour`, on a GPU; not run yet
    python experiments/figures/batch_growth.py

`data` holds the official files. The question is that of Smith et al., "Don't decay the learning
rate, increase the batch size" (arXiv 1711.00489): a run whose batch grows where another's learning
rate decays has the same noise scale g = lr N / (B (1 − momentum)) and so, epoch by epoch, the same
training loss and test accuracy. Published, for a WRN-16-4 on all of CIFAR-10 (figure 5, single
runs):

    decay              lr 0.1, momentum 0.9, batch 128      about 80,000 updates  94.3 %
    batch              the batch grows fivefold, to 5,120   about 29,000          94.4 %
    larger_lr          lr 0.5, from batch 640 on            under 6,500           94.5 %
    larger_momentum    momentum 0.98, from batch 3,200 on   under 2,500           93.3 %

`hybrid` grows once and decays from then on. Figures 3 and 4 have decay, hybrid and batch with
Nesterov momentum, without momentum (vanilla) and with Adam: by the same trade, though Adam's noise
goes as lr / √B. The other runs are not published anywhere: in `abel_batch` the batch grows where
`abel` decays, and in `noise_batch` it grows while the gradient's noise scale is above it.

`cpu` has the first 10,000 images, a ResNet-8 of width 8, 12 epochs with the steps at the paper's
30, 60 and 80 % (20 epochs for the runs that decide on the way), a cap of a tenth of the examples,
and a quarter of the paper's batch and learning rate, so that an example moves the weights as far as
there; five seeds. No rate is tuned: the question is whether two runs of the same noise end alike.
Accuracy on all test images at the end, training losses at every evaluation; seconds are no claim.
Power, by an earlier study of three seeds whose running statistics remembered updates, not examples:
there `batch` and `hybrid` differ from `decay` with the same optimizer by -0.8 to +0.3 points; seed
by seed these differences spread by 0.05 to 0.4 points, so five seeds see 0.1 to 0.7 points in 80 of
100 studies. That of `abel_batch` to `abel` spreads by 2.3: there five seeds see 3.8 points.
Predicted before any run: with each optimizer the mean training losses of `hybrid` and `batch` stay
within 0.02 of those of `decay`, and accuracies end within 0.5 points; `larger_lr` ends 2 to 4
points lower and `larger_momentum` 10 to 25, for want of updates; `abel_batch` ends within 1 point
of `abel`, where the lagging statistics cost it 3.3.

`larger` has figure 5's runs where they have room: all 50,000 images, 20 epochs, a first batch of
16, a learning rate of 0.05 and a cap of 5,000, so that the velocity of momentum 0.98 at batch 400
takes 2 % of the run to build up, not a third of it. In `larger_momentum_ramp` momentum and batch
rise together, and the velocity is rescaled. Three seeds; no prediction was written down.

`full` is a WRN-16-4 on all of CIFAR-10 for 200 epochs; learning rate, batch size, factor and cap
are the paper's, epochs and steps those that meet its update counts. Not published, and therefore
ours, are the weight decay, the learning rates without momentum and with Adam, and `abel`,
`abel_batch` and `noise_batch`. `quarter_hour` has decay, batch and larger_lr of figure 5 in a tenth
of the epochs and in bfloat16, three seeds. Predicted before any run: the batch that grows ends
within 0.7 points of decay, in 0.37 of the updates and in fewer seconds; the larger rate ends within
2 points.
"""

import dataclasses
from typing import Any

import jaxsched as js
from jaxsched.bench import MedianBest, Study, published_in
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import BatchNorm, CifarResNet, WideResNet
from jaxsched.tasks import ImageClassification

NUM_TRAIN = 10_000
MAX_BATCH_SIZE = NUM_TRAIN // 10
RATE = 0.025
FULL_RATE = 0.1
ROOMY_RATE = 0.05
FACTOR = 0.2
SEEDS = (0, 1, 2)
PUBLISHED = published_in(
    "arXiv 1711.00489, figure 5: WRN-16-4, n=1",
    {
        "decay": 0.943,
        "batch": 0.944,
        "larger_lr": 0.945,
        "larger_momentum": 0.933,
    },
)

# The arguments of `js.trade` for each run; all keep the noise of `decay`.
TRADES: dict[str, dict[str, Any]] = {
    "decay": {"mode": "lr"},
    "hybrid": {"mode": "hybrid"},
    "batch": {"mode": "batch"},
    "larger_lr": {"mode": "batch", "lr_factor": 5},
    "larger_momentum": {"mode": "batch", "lr_factor": 5, "new_momentum": 0.98},
}


def as_published(
    base: Experiment, rate: float, *, num_examples: int, max_batch_size: int
) -> tuple[Experiment, ...]:
    """The runs of the paper.

    Args:
        base: a run with SGD and momentum; its one phase has the batch size of `decay`.
        rate: the learning rate that `decay` starts with.
        num_examples: the size of the training set.
        max_batch_size: the largest batch size.
    """
    stepped = dataclasses.replace(base.optimizer, lr=steps(rate))
    optimizers = {
        "": stepped,
        "_nesterov": dataclasses.replace(stepped, nesterov=True),
        # Ten times the learning rate moves the weights as far as momentum 0.9 does.
        "_vanilla": dataclasses.replace(stepped, lr=steps(10 * rate), momentum=0.0),
        "_adam": js.Adam(steps(1e-3)),
    }
    return tuple(
        traded(
            dataclasses.replace(base, name=name + suffix, optimizer=optimizer),
            num_examples=num_examples,
            max_batch_size=max_batch_size,
            **how,
        )
        for suffix, optimizer in optimizers.items()
        for name, how in TRADES.items()
        if not suffix or not name.startswith("larger")
    )


def steps(rate: float) -> js.Schedule:
    """The paper's schedule, which decays at epochs 60, 120 and 160 of 200."""
    return js.MultiStep(rate, milestones=("30%", "60%", "80%"), factor=FACTOR)


def traded(run: Experiment, **how: Any) -> Experiment:
    """The same run with the same noise, kept by these arguments of `js.trade`."""
    (phase,), optimizer = run.phases, run.optimizer
    # Adam's moments stay as they are: its noise does not depend on them.
    schedules: dict[str, Any] = {
        name: schedule
        for name, schedule in optimizer.schedules().items()
        if name in ("lr", "momentum", "weight_decay")
    }
    trade = js.trade(
        **schedules,
        batch_size=phase.batch_size,
        epochs=phase.epochs,
        multiple_of=run.task.batch_group or 1,
        **how,
    )
    kept = {name: getattr(trade, name) for name in schedules}
    return dataclasses.replace(
        run, phases=trade.phases, optimizer=dataclasses.replace(optimizer, **kept)
    )


def larger(base: Experiment, rate: float, **limits: int) -> tuple[Experiment, ...]:
    """The runs of figure 5, and the one with a larger momentum whose lag is compensated for."""
    ramp = {**TRADES["larger_momentum"], "max_lag": 0.25}
    stepped = dataclasses.replace(base.optimizer, lr=steps(rate))
    rescaled = dataclasses.replace(stepped, rescale_velocity=True)
    return (
        *(
            traded(dataclasses.replace(base, name=name, optimizer=stepped), **limits, **how)
            for name, how in TRADES.items()
        ),
        traded(
            dataclasses.replace(base, name="larger_momentum_ramp", optimizer=rescaled),
            **limits,
            **ramp,
        ),
    )


def by_abel(base: Experiment, max_batch_size: int) -> tuple[Experiment, Experiment]:
    """ABEL at a constant learning rate, and with batches that grow where it would decay."""
    optimizer = dataclasses.replace(base.optimizer, abel=js.Abel(decay_factor=FACTOR))
    abel = dataclasses.replace(base, name="abel", optimizer=optimizer)
    growth = js.GrowOnDecay(max_batch_size=max_batch_size)
    return abel, dataclasses.replace(abel, name="abel_batch", batch_growth=growth)


def by_noise(base: Experiment, rate: float, max_batch_size: int) -> Experiment:
    """A constant learning rate, and batches that grow with the gradient's noise scale.

    The estimate needs two groups of batch norm in an update: so the batch is doubled, and the
    learning rate with it.
    """
    (phase,) = base.phases
    return dataclasses.replace(
        base,
        name="noise_batch",
        phases=(js.Phase(phase.epochs, 2 * phase.batch_size),),
        optimizer=dataclasses.replace(base.optimizer, lr=2 * rate, noise=js.NoiseEstimate()),
        batch_growth=js.GrowOnNoise(max_batch_size=max_batch_size),
    )


base = Experiment(
    name="decay",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8, norm=BatchNorm(ghost=32)),
        data=Subset(Cifar10(folder="data"), num_train=NUM_TRAIN),
    ),
    phases=(js.Phase(epochs=12, batch_size=32),),
    optimizer=js.SGD(RATE, momentum=0.9, weight_decay=5e-4),
    evaluate_every=1.5,
    max_device_batch=32,  # one group of batch norm at a time is fastest on a CPU
    num_devices=1,
)
# The learning rate and the weight decay of `experiments/studies/abel.py`, at which the norm
# bounces within the run.
longer = dataclasses.replace(base, phases=(js.Phase(epochs=20, batch_size=32),), evaluate_every=1.0)
bouncing = dataclasses.replace(longer, optimizer=js.SGD(0.1, momentum=0.9, weight_decay=2e-3))

roomy = Experiment(
    name="decay",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8, norm=BatchNorm(ghost=16)), data=Cifar10(folder="data")
    ),
    phases=(js.Phase(epochs=20, batch_size=16),),
    optimizer=js.SGD(ROOMY_RATE, momentum=0.9, weight_decay=5e-4),
    evaluate_every=2.0,
    max_device_batch=16,
    num_devices=1,
)

large = Experiment(
    name="decay",
    task=ImageClassification(
        model=WideResNet(depth=16, widen=4, norm=BatchNorm(ghost=128)), data=Cifar10(folder="data")
    ),
    phases=(js.Phase(epochs=200, batch_size=128),),
    optimizer=js.SGD(FULL_RATE, momentum=0.9, weight_decay=5e-4),
    evaluate_every=2.0,
    max_device_batch=1280,
)

quick = dataclasses.replace(
    large,
    phases=(js.Phase(epochs=20, batch_size=128),),
    evaluate_every=1.0,
    max_device_batch=None,
    precision="bfloat16",
)

small = Study(
    name="batch_growth",
    experiments=(
        *as_published(base, RATE, num_examples=NUM_TRAIN, max_batch_size=MAX_BATCH_SIZE),
        *by_abel(bouncing, MAX_BATCH_SIZE),
        by_noise(longer, RATE, MAX_BATCH_SIZE),
    ),
    seeds=(*SEEDS, 3, 4),
    target=0.5,  # `decay` is there half way
    published=PUBLISHED,
)

sizes = {
    "cpu": small,
    "larger": Study(
        name="larger_rate",
        experiments=larger(roomy, ROOMY_RATE, num_examples=50_000, max_batch_size=5_000),
        seeds=SEEDS,
        target=0.6,
        published=PUBLISHED,
    ),
    "full": Study(
        name="dont_decay_full",
        experiments=(
            *as_published(large, FULL_RATE, num_examples=50_000, max_batch_size=5120),
            *by_abel(large, 5120),
            by_noise(large, FULL_RATE, 5120),
        ),
        seeds=SEEDS,
        target=0.94,
        published=PUBLISHED,
    ),
    "quarter_hour": Study(
        name="dont_decay_quarter_hour",
        experiments=tuple(
            run
            for run in larger(quick, FULL_RATE, num_examples=50_000, max_batch_size=5120)
            if run.name in ("decay", "batch", "larger_lr")
        ),
        seeds=SEEDS,
        target=MedianBest("decay"),
        further_targets=(0.85, 0.90),
    ),
}
