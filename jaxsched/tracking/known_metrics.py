"""The metrics whose better direction their names tell. Imports no JAX."""

from collections.abc import Mapping
from typing import Any

from jaxsched.metric import Metric, bare_name

_LOWER = (
    "loss", "error", "perplexity", "nll", "mse", "rmse", "mae", "wer", "cer", "fid",
    "bits_per_byte", "bits_per_character",
)  # fmt: skip
_LOWER_SHARES = ("error_rate",)
_HIGHER = ("bleu", "psnr", "r2", "rouge", "ssim")
_HIGHER_SHARES = (
    "accuracy", "auc", "average_precision", "f1", "iou", "precision", "recall",
)  # fmt: skip
_KNOWN = {
    **{name: Metric(name, "lower") for name in _LOWER},
    **{name: Metric(name, "lower", is_share=True) for name in _LOWER_SHARES},
    **{name: Metric(name, "higher") for name in _HIGHER},
    **{name: Metric(name, "higher", is_share=True) for name in _HIGHER_SHARES},
}


def known_metric(name: str) -> Metric | None:
    """Returns the metric of a known name, or of one that ends in a known name; None if unknown.

    Example:
        >>> from jaxsched.tracking.known_metrics import known_metric
        >>> known_metric("top5_accuracy")
        Metric(name='top5_accuracy', better='higher', is_share=True)
        >>> known_metric("return") is None
        True
    """
    endings = [known for known in _KNOWN if name == known or name.endswith(f"_{known}")]
    if not endings:
        return None
    found = _KNOWN[max(endings, key=len)]
    return Metric(name, found.better, found.is_share)


def metric_of(column: str, declared: Mapping[str, Any]) -> Metric | None:
    """Returns the metric of a record's column, under the column's name; None if it is none's.

    Args:
        column: such as `test_loss`.
        declared: the metrics that the record's header declares.
    """
    name = bare_name(column)
    if name is None:
        return None
    if name in declared:
        return Metric(column, declared[name]["better"], declared[name]["is_share"])
    found = known_metric(name)
    return None if found is None else Metric(column, found.better, found.is_share)
