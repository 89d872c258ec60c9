"""The claims about an experiment that its runs support, in words."""

from jaxsched.bench.statistics.comparison import Comparison
from jaxsched.metric import Metric


def evidence(final: Comparison, steps: Comparison, metric: Metric) -> str:
    """Says what the runs show of an experiment compared with the baseline, and no more.

    A claim needs a p-value below 0.05 after Holm's correction over all experiments of the study.

    Args:
        final: the metric's final values, from `compare_final`.
        steps: the experiment's updates to the target, from `compare_times`.
        metric: the metric, under the name of its column.

    Example:
        >>> from jaxsched.bench import Comparison, evidence
        >>> from jaxsched.metric import Metric
        >>> final = Comparison("b", "a", 6, -0.2, -0.3, -0.1, 2.0, 0.001, 0.002)
        >>> steps = Comparison("b", "a", 6, 0.8, 0.7, 1.1, 0.8, 0.2, 0.4)
        >>> evidence(final, steps, Metric("test_loss", "lower"))
        'lower final loss (p = 0.002); steps: no significant difference (p = 0.400); n = 6'
    """
    most = max(final.n, steps.n)
    n = f"n = {most}"
    if final.n < most:  # a run without any evaluation has no final value
        n += f", of {metric.noun} {final.n}"
    if most < 2:
        return f"{n}: too few runs for any claim"
    is_higher = (final.estimate or 0) > 0
    is_faster = steps.estimate is not None and steps.estimate < 1
    parts = (
        _claim(final, metric.noun, f"{'higher' if is_higher else 'lower'} final {metric.noun}"),
        _claim(steps, "steps", f"{'fewer' if is_faster else 'more'} steps to the target"),
    )
    return "; ".join((*parts, n))


def _claim(comparison: Comparison, quantity: str, claim: str) -> str:
    p = comparison.p_corrected
    if p is None:
        return f"{quantity}: no test possible"
    if comparison.is_significant:
        return f"{claim} (p {p_in_words(p)})"
    return f"{quantity}: no significant difference (p {p_in_words(p)})"


def p_in_words(p: float) -> str:
    """Formats a p-value with its relation sign, "=" or "<".

    Example:
        >>> from jaxsched.bench.statistics.evidence import p_in_words
        >>> p_in_words(0.0402), p_in_words(1e-9)
        ('= 0.040', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
