"""What may be claimed of an experiment, in words."""

from jaxsched.bench.statistics.comparison import Comparison


def evidence(accuracy: Comparison, steps: Comparison) -> str:
    """What the runs show of an experiment against the baseline, and no more.

    A claim needs a p below 0.05 after Holm's correction over all experiments of the study.

    Args:
        accuracy: its final accuracy against the baseline's, see `compare_accuracy`.
        steps: likewise its updates to the target, see `compare_times`.

    Example:
        >>> from jaxsched.bench import Comparison, evidence
        >>> accuracy = Comparison("b", "a", 6, 0.02, 0.01, 0.03, 2.0, 0.001, 0.002)
        >>> steps = Comparison("b", "a", 6, 0.8, 0.7, 1.1, 0.8, 0.2, 0.4)
        >>> evidence(accuracy, steps)
        'ends higher (p = 0.002); steps: no difference shown (p = 0.400); n = 6'
    """
    pairs = max(accuracy.n, steps.n)
    if pairs < 2:
        return f"n = {pairs}: nothing can be claimed"
    higher = (accuracy.estimate or 0) > 0
    fewer = steps.estimate is not None and steps.estimate < 1
    told = (
        _claim(accuracy, "end", f"ends {'higher' if higher else 'lower'}"),
        _claim(steps, "steps", f"needs {'fewer' if fewer else 'more'} steps"),
    )
    return "; ".join((*told, f"n = {pairs}"))


def _claim(comparison: Comparison, what: str, claim: str) -> str:
    p = comparison.p_corrected
    if p is None:
        return f"{what}: no test possible"
    said = f"p {p_in_words(p)}"
    return (
        f"{claim} ({said})"
        if comparison.is_significant
        else (f"{what}: no difference shown ({said})")
    )


def p_in_words(p: float) -> str:
    """A p-value with its sign of relation.

    Example:
        >>> from jaxsched.bench.statistics.evidence import p_in_words
        >>> p_in_words(0.0402), p_in_words(1e-9)
        ('= 0.040', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
