"""AlgoPerf's competition: its workloads with their targets, and its trials. Imports no JAX."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxsched.metric import Better, Metric

_SHARES = ("accuracy", "mean_average_precision")


@dataclass(frozen=True)
class Workload:
    """A workload: a network on a data set, to be trained to a target.

    Attributes:
        metric: what is measured on the validation examples, under the name of its column.
        target: the value to reach.
        base: the name of the workload that this one is a held-out variant of; None for those that
            are scored.
    """

    metric: Metric
    target: float
    base: str | None = None

    @classmethod
    def of(cls, name: str, better: Better, target: float, base: str | None = None) -> "Workload":
        """Returns the workload whose metric on validation examples has this name."""
        metric = Metric(f"validation_{name}", better, is_share=name in _SHARES)
        return cls(metric, target, base)


@dataclass(frozen=True)
class Trial:
    """A trial: one training run of a submission on a workload.

    Attributes:
        submission: the submission's name.
        workload: the workload's name.
        study: the number of its study, of which there are several to measure the variation.
        trial: its number within the study; the trials of a study differ in hyper-parameters.
        framework: "jax" or "pytorch".
        steps: the updates at each evaluation, growing.
        seconds: the seconds of the submission until then, without evaluation and logging.
        values: the metric's values; NaN where it was not finite.
        hyperparameters: those of the trial, as far as they are known.
    """

    submission: str
    workload: str
    study: int
    trial: int
    framework: str
    steps: tuple[int, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Competition:
    """The trials of a competition, with what is needed to score them.

    Attributes:
        source: where they are from, and under which licence.
        workloads: the workloads by name, those that are scored first.
        trials: all trials.
        published: the published scores, by a submission's name; none if they are not known.
        cautions: what a reader must know of how the trials were read.
    """

    source: str
    workloads: Mapping[str, Workload]
    trials: tuple[Trial, ...]
    published: Mapping[str, float] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()


# Version 0.5 of the benchmark: its validation targets, and the held-out workloads that were drawn
# for its first competition (github.com/mlcommons/algorithmic-efficiency, Apache-2.0).
VERSION_05: Mapping[str, Workload] = {
    "criteo1tb": Workload.of("loss", "lower", 0.123735),
    "fastmri": Workload.of("ssim", "higher", 0.723653),
    "imagenet_resnet": Workload.of("accuracy", "higher", 0.77431),
    "imagenet_vit": Workload.of("accuracy", "higher", 0.77309),
    "librispeech_conformer": Workload.of("wer", "lower", 0.085884),
    "librispeech_deepspeech": Workload.of("wer", "lower", 0.119936),
    "ogbg": Workload.of("mean_average_precision", "higher", 0.28098),
    "wmt": Workload.of("bleu", "higher", 30.8491),
    "criteo1tb_embed_init": Workload.of("loss", "lower", 0.129657, "criteo1tb"),
    "fastmri_tanh": Workload.of("ssim", "higher", 0.71784, "fastmri"),
    "imagenet_resnet_large_bn_init": Workload.of("accuracy", "higher", 0.76526, "imagenet_resnet"),
    "librispeech_conformer_layernorm": Workload.of(
        "wer", "lower", 0.09731, "librispeech_conformer"
    ),
    "ogbg_model_size": Workload.of("mean_average_precision", "higher", 0.269446, "ogbg"),
    "wmt_glu_tanh": Workload.of("bleu", "higher", 29.5779, "wmt"),
}
