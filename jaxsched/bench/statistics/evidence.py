"""Says in words how the runs of an experiment differ from the baseline's."""

from collections.abc import Callable

from jaxsched.bench.statistics.comparison import Comparison
from jaxsched.metric import Metric

_FEWEST_FOR_INTERVAL = 3
_TIMES = "\N{MULTIPLICATION SIGN}"


def evidence(final: Comparison, steps: Comparison, metric: Metric) -> str:
    """Says in what the runs of an experiment are shown to differ from the baseline's, and no more.

    A claim needs a p-value below 0.05 after Holm's correction over all experiments of the study.

    Args:
        final: the metric's final values, from `compare_final`.
        steps: the experiment's updates to the target, from `compare_times`.
        metric: the metric, under the name of its column.

    Example:
        >>> from jaxsched.bench import Comparison, evidence
        >>> from jaxsched.metric import Metric
        >>> final = Comparison("b", "a", 6, -0.2, -0.3, -0.1, -2.0, 0.001, 0.002)
        >>> steps = Comparison("b", "a", 6, 0.8, 0.7, 1.1, -0.8, 0.2, 0.4)
        >>> evidence(final, steps, Metric("test_loss", "lower"))
        'lower final loss: -0.2 [-0.3, -0.1], p = 0.002'
    """
    most = max(final.n, steps.n)
    if most < 2:
        return "one seed, so no test" if most else "no seed in common"
    claims = []
    if steps.is_significant:
        side = "fewer" if steps.is_lower else "more"
        claims.append(f"{side} updates: {ratio_in_words(steps, _TIMES)}, {_p(steps)}")
    if final.is_significant:
        side = "lower" if final.is_lower else "higher"
        change = change_in_words(final, metric, metric.points)
        claims.append(f"{side} final {metric.noun}: {change}, {_p(final)}")
    return "; ".join(claims) or "no difference shown"


def change_in_words(final: Comparison, metric: Metric, unit: str = "") -> str:
    """Writes a difference of final values with its interval; in percentage points if of shares.

    Args:
        final: the comparison.
        metric: the metric.
        unit: what follows the difference.
    """
    if final.estimate is None:
        return "none"
    return f"{metric.show_change(final.estimate)}{unit}{_interval(final, metric.show_change)}"


def ratio_in_words(steps: Comparison, sign: str = "") -> str:
    """Writes a ratio of times with its interval; which runs reached the target, if not all did.

    Args:
        steps: the comparison.
        sign: what follows the ratio.

    Example:
        >>> from jaxsched.bench import Comparison
        >>> from jaxsched.bench.statistics.evidence import ratio_in_words
        >>> ratio_in_words(Comparison("b", "a", 5, None, baseline_missed=3, both_missed=2))
        'reached by 3, baseline by 0 of 5 seeds, 2 missed by both'
    """
    n, both = steps.n, steps.both_missed
    if not n:
        return "none"
    ratio = "" if steps.estimate is None else f"{_ratio(steps.estimate)}{sign}"
    if not (steps.missed or steps.baseline_missed or both):
        return f"{ratio}{_interval(steps, _ratio)}"
    if both == n:
        return "missed by both"
    reached, of_baseline = n - both - steps.missed, n - both - steps.baseline_missed
    said = f"reached by {reached}, baseline by {of_baseline} of {n} seeds"
    if both:
        said += f", {both} missed by both"
    return f"{ratio} ({said})" if ratio else said


def p_in_words(p: float) -> str:
    """Formats a p-value with its relation sign, "=" or "<".

    Example:
        >>> from jaxsched.bench.statistics.evidence import p_in_words
        >>> p_in_words(0.0402), p_in_words(1e-9), p_in_words(0.0499)
        ('= 0.040', '< 0.001', '< 0.050')
    """
    if p < 0.001:
        return "< 0.001"
    # One that is significant must not look as if it were not.
    return "< 0.050" if 0.0495 <= p < 0.05 else f"= {p:.3f}"


def _p(comparison: Comparison) -> str:
    assert comparison.p_corrected is not None
    return f"p {p_in_words(comparison.p_corrected)}"


def _interval(comparison: Comparison, show: Callable[[float], str]) -> str:
    """The interval in brackets; nothing if it would be too wide to tell anything."""
    if comparison.low is None or comparison.high is None:
        return ""
    if comparison.n < _FEWEST_FOR_INTERVAL and not comparison.is_significant:
        return ""
    return f" [{show(comparison.low)}, {show(comparison.high)}]"


def _ratio(ratio: float) -> str:
    """A ratio in as many digits as tell it from 1."""
    if not 0.001 <= ratio <= 1000:
        return "< 0.001" if ratio < 1 else "> 1,000"
    texts = (f"{ratio:.{digits}f}" for digits in (2, 3, 4, 6))
    return next((text for text in texts if float(text) not in (0, 1)), "1.00")
