"""Learning-rate schedulers on CIFAR-10: steps, cosine, warm restarts, 1cycle, SWA, group norm.

    jaxsched bench experiments/studies/lr_schedulers.py               # --size cpu
    jaxsched bench experiments/studies/lr_schedulers.py --size full   # for a GPU; not run yet

`data` holds the official files. The study has all runs of H. Desai, "Experiments with CIFAR10",
part 2, and the one of part 1 with group norm, weight standardisation and a quarter of the batch.
The published numbers are final accuracies of single runs of a ResNet-18 on the original pixels:

    multi_step            0.05, a tenth at epochs 25 and 40 of 50    93.76 %
    cosine_50, _30, _20   from 0.2                                   93.91, 92.93, 91.66
    restarts              cosine from 0.2, 20 and 40 epochs          93.70
    one_cycle_50, _30     to 0.1, torch's defaults                   94.65, 93.77
    swa_10, _20           1cycle in 20 epochs, 10 or 20 at 0.01      94.14, 94.45
    group_norm            multi_step, batch 32                       93.27

`full` is their size: 410 epochs for each seed. `cpu` has a fifth of the epochs, the first 10,000
images and a ResNet-8 of width 8. So that its runs still have enough updates, it has a quarter of
the batch and of the learning rates. It trains on 2.5 million images, an hour and a half on one
core, evaluations included.

The target is AlgoPerf's rule on `multi_step`: the median over seeds of its best evaluation.
"""

import dataclasses

import jaxsched as js
from jaxsched.bench import MedianBest, Study, published_in
from jaxsched.data import Cifar10, Subset
from jaxsched.experiment import Experiment
from jaxsched.models import R18, CifarResNet, GroupNorm, Network
from jaxsched.tasks import ImageClassification

PUBLISHED = published_in(
    "H. Desai, Experiments with CIFAR10, ResNet-18, n=1",
    {
        "multi_step": 0.9376,
        "cosine_50": 0.9391,
        "cosine_30": 0.9293,
        "cosine_20": 0.9166,
        "restarts": 0.9370,
        "one_cycle_50": 0.9465,
        "one_cycle_30": 0.9377,
        "swa_10": 0.9414,
        "swa_20": 0.9445,
        "group_norm": 0.9327,
    },
)


def experiments(
    base: Experiment,
    *,
    grouped: Network,
    batch_size: int,
    scale: int,
    rate: float,
    average_every: int | str,
) -> tuple[Experiment, ...]:
    """The ten runs.

    Args:
        base: the fields that all runs have in common.
        grouped: the network with group norm.
        batch_size: the batch size of all runs but the last, which has a quarter.
        scale: the source's epochs in one epoch of ours.
        rate: multiplies the source's learning rates.
        average_every: the time between two weights of SWA, an epoch of the source.
    """

    def run(
        name: str,
        epochs: float,
        lr: js.Schedule,
        momentum: js.Schedule | float = 0.9,
        averaging: js.Averaging | None = None,
    ) -> Experiment:
        optimizer = js.SGD(lr, momentum, weight_decay=5e-4, averaging=averaging)
        return dataclasses.replace(
            base,
            name=name,
            phases=(js.Phase(epochs / scale, batch_size),),
            optimizer=optimizer,
        )

    def cosine(epochs: int) -> Experiment:
        return run(f"cosine_{epochs}", epochs, js.Cosine(0.2 * rate, duration="100%"))

    def one_cycle(epochs: int) -> Experiment:
        cycle = js.OneCycle(0.1 * rate, duration="100%")
        return run(f"one_cycle_{epochs}", epochs, cycle, cycle.momentum(0.95, 0.85))

    def swa(averaged: int) -> Experiment:
        end = 20 / scale
        cycle = js.OneCycle(0.1 * rate, duration=end)
        return run(
            f"swa_{averaged}",
            20 + averaged,
            js.Sequence((cycle, js.Constant(0.01 * rate)), boundaries=(end,)),
            js.Sequence((cycle.momentum(0.95, 0.85), js.Constant(0.9)), boundaries=(end,)),
            js.Averaging(start=end, every=average_every),
        )

    multi_step = run("multi_step", 50, js.MultiStep(0.05 * rate, ("50%", "80%"), factor=0.1))
    group_norm = dataclasses.replace(
        multi_step.with_task(model=grouped),
        name="group_norm",
        phases=(js.Phase(50 / scale, batch_size // 4),),
    )
    restarts = js.CosineRestarts(0.2 * rate, first=20 / scale, multiplier=2)
    return (
        multi_step,
        *map(cosine, (50, 30, 20)),
        run("restarts", 60, restarts),
        *map(one_cycle, (50, 30)),
        *map(swa, (10, 20)),
        group_norm,
    )


small = Experiment(
    name="small",
    task=ImageClassification(
        model=CifarResNet(depth=8, width=8), data=Subset(Cifar10(folder="data"), num_train=10_000)
    ),
    phases=(js.Phase(10, 32),),
    optimizer=js.SGD(0.1),
    evaluate_every=0.5,
)
large = dataclasses.replace(
    small.with_task(model=R18, data=Cifar10(folder="data")), evaluate_every=1.0
)

sizes = {
    "cpu": Study(
        name="lr_schedulers",
        experiments=experiments(
            small,
            grouped=CifarResNet(depth=8, width=8, norm=GroupNorm()),
            batch_size=32,
            scale=5,
            rate=0.25,
            average_every="62 updates",
        ),
        seeds=(0, 1, 2),
        target=MedianBest("multi_step"),
        published=PUBLISHED,
    ),
    "full": Study(
        name="lr_schedulers_full",
        experiments=experiments(
            large,
            grouped=dataclasses.replace(R18, norm=GroupNorm()),
            batch_size=128,
            scale=1,
            rate=1.0,
            average_every=1,
        ),
        seeds=(0, 1, 2),
        target=MedianBest("multi_step"),
        further_targets=(0.90, 0.92, 0.93, 0.935),
        published=PUBLISHED,
    ),
}
