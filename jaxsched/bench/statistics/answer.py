"""The answer to a study's question, in words: which is fastest, what it saves, how sure that is."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from jaxsched.bench.statistics.comparison import LEVEL, Comparison, compare_final
from jaxsched.bench.statistics.evidence import change_in_words, p_in_words, ratio_in_words
from jaxsched.bench.statistics.summary import Summary, summarise
from jaxsched.bench.statistics.time_comparison import compare_times
from jaxsched.bench.statistics.time_to_target import first_at_target
from jaxsched.bench.study.manifest import StudyManifest
from jaxsched.bench.study.target import Target
from jaxsched.metric import Metric
from jaxsched.text import join_names
from jaxsched.tracking.records import Record

_MOST_NAMED = 3


def answer(manifest: StudyManifest, records: Sequence[Record], target: Target) -> str:
    """Says which experiment reaches the target in the fewest updates, and with what certainty.

    The sentences name the fastest by its median, those that are not shown to be slower, what is
    saved against the baseline, and who missed the target. Where no difference in time can be
    shown, final values are compared instead, and where nobody reached the target, who came nearest.

    The fastest is chosen by the same runs that it is then compared with, which alone would make
    claims of its lead too easy. So "slower" needs p · m < 0.05 in all m comparisons with it. Then
    the experiment that truly is fastest is called slower in at most one study of 20, whichever is
    chosen: some other would have to beat it in one of at most m comparisons (Gupta's subset
    selection). What is saved against the baseline has Holm's correction, as in the tables.

    Args:
        manifest: the study's manifest.
        records: the records of its runs that ended, with what counts in the metric's column.
        target: the value to reach.

    Source:
        Gupta, "On some multiple decision (selection and ranking) rules" (1965); Hsu, "Simultaneous
        confidence intervals for all distances from the best" (1981).

    Example:
        >>> from jaxsched.bench import StudyManifest, Target
        >>> from jaxsched.bench.statistics.answer import answer
        >>> from jaxsched.metric import Metric
        >>> from jaxsched.tracking import Record
        >>> from jaxsched.tracking.records import Run
        >>> manifest = StudyManifest(
        ...     name="s", runs=(Run("a", "0", 0), Run("b", "0", 0)), target=0.9, baseline="a",
        ...     further_targets=(), published={},
        ... )
        >>> records = [
        ...     Record({"name": name, "seed": 0}, rows, {})
        ...     for name, step in (("a", 1000), ("b", 600))
        ...     for rows in [
        ...         [{"step": step / 2, "test_accuracy": 0.8}, {"step": step, "test_accuracy": 0.9}]
        ...     ]
        ... ]
        >>> answer(manifest, records, Target(0.9, Metric("test_accuracy", "higher", True)))
        'b reaches 90.0% test accuracy in 600 updates, the fewest of 2 experiments (one run each,
        so nothing is known about the variation between seeds).'
    """
    study = _Study(manifest, records, target, tuple(summarise(records, target)))
    if all(summary.steps is None for summary in study.summaries):
        sentences = [*_nobody(study), *_best_at_end(study)]
    elif len(study.summaries) > 1 and study.is_at_once:
        start = f"Every run was at {target.words} by its first evaluation, so"
        sentences = [f"{start} which is fastest is not known", *_best_at_end(study)]
    else:
        sentences = [_fastest(study), *_saving(study), *_missed(study)]
    return " ".join(f"{sentence}." for sentence in (*sentences, *_missing(study)))


@dataclass(frozen=True)
class _Study:
    """The question, and all that is known."""

    manifest: StudyManifest
    records: Sequence[Record]
    target: Target
    summaries: tuple[Summary, ...]

    @property
    def metric(self) -> Metric:
        return self.target.metric

    @property
    def reached(self) -> list[Summary]:
        """Those of which most runs reached the target."""
        return [summary for summary in self.summaries if summary.steps is not None]

    @property
    def fastest(self) -> list[Summary]:
        """Those with the fewest updates, by their medians."""
        steps = min(summary.steps for summary in self.reached if summary.steps is not None)
        return [summary for summary in self.reached if summary.steps == steps]

    @property
    def has_seeds(self) -> bool:
        """Whether anything has more than one run."""
        return any(summary.seeds > 1 for summary in self.summaries)

    @property
    def is_at_once(self) -> bool:
        """Whether each run reached the target at the first evaluation that measured it."""
        for record in self.records:
            measured = [r for r in record.evaluations if r.get(self.metric.name) is not None]
            if not measured or first_at_target(record, self.target) is not measured[0]:
                return False
        return True

    def called(self, name: str) -> str:
        """The name of an experiment; the baseline's is said to be that, if there are others."""
        is_baseline = name == self.manifest.baseline and len(self.summaries) > 1
        return f"{name} (the baseline)" if is_baseline else name


def _fastest(study: _Study) -> str:
    """Names the fastest, and those that are not shown to be slower."""
    fastest = study.fastest
    first = fastest[0]
    names = _joined([study.called(summary.name) for summary in fastest])
    verb = "reaches" if len(fastest) == 1 else "reach"
    text = f"{names} {verb} {study.target.words} in {first.steps:,.0f} updates"
    is_only = len(study.summaries) > 1 and sum(s.reached > 0 for s in study.summaries) == 1
    if is_only:
        text = f"Only {text}"
    if not study.has_seeds:
        return f"{text}{_of_one_run(study, 'the fewest')}"
    text = f"{text} ({_of_seeds(fastest)})"
    others = [s for s in study.reached if s not in fastest]
    comparisons = compare_times(study.records, first.name, study.target, "step")
    said = _certainty(
        shown_worse(comparisons, are_lower=False),
        [summary.name for summary in fastest[1:]],
        {summary.name: f"{summary.name} ({summary.steps:,.0f})" for summary in others},
        len(study.summaries) - 1,
        rest="any other" if len(study.reached) == len(study.summaries) else "any other that did",
        how="to need more",
    )
    return f"{text}; {said}" if said else text


def _certainty(
    worse: set[str] | None,
    ties: Sequence[str],
    others: dict[str, str],
    count: int,
    *,
    rest: str,
    how: str,
) -> str:
    """Says from whom a difference is shown, and from whom not.

    Args:
        worse: those who are shown to be worse than the best; None without a test.
        ties: those who are as good as the best.
        others: those who come behind, with what they are called.
        count: the number of all who are not the best, also of those who are not spoken of.
        rest: what all those who come behind are called.
        how: in which way they are worse.
    """
    if worse is None:
        return ""
    if len(worse) == count:
        return f"{'all others' if count > 1 else min(worse)} {_are(worse)} shown {how}"
    open_ties = [name for name in ties if name not in worse]
    undecided = [called for name, called in others.items() if name not in worse]
    from_whom = [f"from {_joined(undecided)}"] if undecided else []
    if len(undecided) == len(others) > _MOST_NAMED:
        from_whom = [f"from {rest}"]
    parts = []
    if open_ties and from_whom:
        parts.append(f"no difference between them, or {from_whom[0]}, is shown")
    elif open_ties or from_whom:
        parts.append(f"no difference {(*from_whom, 'between them')[0]} is shown")
    shown = [name for name in (*ties, *others) if name in worse]
    if len(shown) == len(ties) + len(others) > 1:
        parts.append(f"all {rest.replace('any other', 'others')} are shown {how}")
    elif shown:
        parts.append(f"{_joined(shown)} {_are(shown)} shown {how}")
    return "; ".join(parts)


def shown_worse(comparisons: Sequence[Comparison], *, are_lower: bool) -> set[str] | None:
    """Returns those who are shown to be worse than the one that the same runs made look best.

    Args:
        comparisons: of all others with that one.
        are_lower: whether lower values are worse.

    Returns:
        Their names; None if there is no test. See `answer` for the correction.
    """
    tested = [(c, c.p_value) for c in comparisons if c.p_value is not None]
    if not tested:
        return None
    return {c.name for c, p in tested if p * len(tested) < LEVEL and c.is_lower == are_lower}


def _saving(study: _Study) -> Iterator[str]:
    """Says how many updates are saved against the baseline, or what else is better."""
    baseline, fastest = study.manifest.baseline, study.fastest
    names = [summary.name for summary in fastest]
    comparisons = compare_times(study.records, baseline, study.target, "step")
    finals = compare_final(study.records, baseline, study.metric.name)
    saving = [c for c in comparisons if c.is_significant and c.is_lower]
    if saving:
        saving.sort(key=lambda c: (c.name not in names, 2.0 if c.estimate is None else c.estimate))
        best, *others = saving
        subject = "It" if names == [best.name] else best.name
        (final,) = (c for c in finals if c.name == best.name)
        text = f"{subject} {_saved(best)}{_and_final(final, study.metric)}"
        if others:
            names = _joined([comparison.name for comparison in others])
            text += f"; {names} {_are(others)} shown to save some too"
        yield text
    elif baseline not in names and any(c.n > 1 for c in comparisons):
        against = next((c for c in comparisons if c.name == names[0]), None)
        why = ""
        if against is not None and _cannot_be_shown(against, comparisons):
            why = f" ({against.n} seeds cannot show one where runs missed the target)"
        gain = _final_gain(finals, study.metric)
        yield f"No saving against the baseline {baseline} is shown{why}, {gain}"


def _saved(steps: Comparison) -> str:
    baseline, p = f"the baseline {steps.baseline}", p_in_words(steps.p_corrected or 0.0)
    if steps.estimate is None:
        said = ratio_in_words(steps)
        return f"is shown to need fewer updates than {baseline} ({said}; p {p})"
    how = f"median of {_seeds(steps.n)}"
    if steps.low is not None and steps.high is not None:
        how = f"interval {_shares(1 - steps.high, 1 - steps.low)}"
    return f"saves {_share(1 - steps.estimate)} of the updates of {baseline} ({how}, p {p})"


def _share(share: float, digits: int = 0) -> str:
    return f"{share:.{digits}%}" if share >= 0.005 else f"{100 * share:.1g}%"


def _shares(low: float, high: float) -> str:
    """An interval of shares, in as few digits as tell its ends apart."""
    pairs = [(_share(low, digits), _share(high, digits)) for digits in range(4)]
    ends = next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])
    return " to ".join(ends)


def _and_final(final: Comparison, metric: Metric) -> str:
    """Says whether the final values of one that saves updates are better or worse."""
    if not final.is_significant:
        return ""
    is_better = final.is_lower == (metric.better == "lower")
    change = change_in_words(final, metric, metric.points)
    p = p_in_words(final.p_corrected or 0.0)
    start = f"{', and' if is_better else ', but'} its final {metric.noun} is shown to be"
    return f"{start} {'better' if is_better else 'worse'} ({change}, p {p})"


def _cannot_be_shown(steps: Comparison, comparisons: Sequence[Comparison]) -> bool:
    """Whether runs missed the target and no ranks of so few seeds could be significant."""
    informative = steps.n - steps.both_missed
    tested = sum(c.p_value is not None for c in comparisons)
    has_misses = steps.missed or steps.baseline_missed or steps.both_missed
    return bool(has_misses) and 2.0 ** (1 - informative) * max(tested, 1) >= LEVEL


def _final_gain(finals: Sequence[Comparison], metric: Metric) -> str:
    """Says whose final values are shown to be better than the baseline's."""
    better = [c for c in finals if c.is_significant and c.is_lower == (metric.better == "lower")]
    if not better:
        return f"and no better final {metric.noun}"
    better.sort(key=lambda c: -abs(c.estimate or 0.0))
    best, names = better[0], [c.name for c in better]
    change = change_in_words(best, metric, metric.points)
    p = p_in_words(best.p_corrected or 0.0)
    said = f"but the final {metric.noun} of {_joined(names)} is shown to be better"
    return f"{said} ({f'{best.name}: ' if len(better) > 1 else ''}{change}, p {p})"


def _missed(study: _Study) -> Iterator[str]:
    """Says who missed the target in half of the runs or more."""
    missed = [summary for summary in study.summaries if summary.steps is None]
    if not missed or sum(s.reached > 0 for s in study.summaries) == 1:
        return
    most = max(summary.reached for summary in missed)
    if len(missed) > _MOST_NAMED:
        times = "half of their runs or fewer" if most else "none of their runs"
        yield f"{_joined([summary.name for summary in missed])} reached it in {times}"
        return
    groups: dict[str, list[str]] = {}
    for summary in sorted(missed, key=lambda s: -s.reached):
        groups.setdefault(_times_reached(summary), []).append(summary.name)
    (times, names), *more = groups.items()
    others = (f"{_joined(names)} in {times}" for times, names in more)
    yield ", ".join([f"{_joined(names)} reached it in {times}", *others])


def _times_reached(summary: Summary) -> str:
    died = {"diverged": summary.diverged, "failed": summary.failed}
    losses = ", ".join(f"{count} {how}" for how, count in died.items() if count)
    times = f"{summary.reached or 'none'} of {_seeds(summary.seeds)}"
    return f"{times} ({losses})" if losses else times


def _nobody(study: _Study) -> Iterator[str]:
    """Says that no experiment reached the target, or none in most of its runs."""
    most = max(study.summaries, key=lambda summary: summary.reached / summary.seeds)
    if not most.reached:
        yield f"No run reached {study.target.words}"
    else:
        yield (
            f"No experiment reached {study.target.words} in more than half of its runs; "
            f"{most.name} did in {most.reached} of {most.seeds}"
        )


def _best_at_end(study: _Study) -> Iterator[str]:
    """Names the experiment whose final values are best, and how sure that is."""
    metric, target = study.metric, study.target
    means = {s.name: s.final_mean for s in study.summaries if s.final_mean is not None}
    if not means:
        yield f"None has measured a {metric.words}"
        return
    value = metric.best(means.values())
    name = next(name for name, mean in means.items() if mean == value)
    summary = next(summary for summary in study.summaries if summary.name == name)
    gap = abs(value - target.value)
    has_missed = not metric.reaches(value, target.value)
    text = f"{study.called(name)} {'came nearest' if has_missed else 'ended best'}, with "
    text += metric.show(value)
    if has_missed:
        side = "short" if metric.better == "higher" else "too high"
        text += f", {100 * gap:.2f} points {side}" if metric.is_share else f", {gap:.3g} {side}"
    if not study.has_seeds:
        yield f"{text}{_of_one_run(study, 'the best')}"
        return
    text += f" (mean of {_seeds(summary.final_n)})"
    comparisons = compare_final(study.records, name, metric.name)
    others = {other: other for other in means if other != name}
    worse = shown_worse(comparisons, are_lower=metric.better == "higher")
    count = len(study.summaries) - 1
    said = _certainty(worse, [], others, count, rest="any other", how="to end worse")
    yield f"{text}; {said}" if said else text


def _missing(study: _Study) -> Iterator[str]:
    planned, ended = len(study.manifest.runs), len(study.records)
    if ended < planned:
        yield f"{ended} of {planned} runs have ended so far"


def _of_one_run(study: _Study, rank: str) -> str:
    count = len(study.summaries)
    if count == 1:
        return " (one run, so nothing is known about the variation between seeds)"
    return (
        f", {rank} of {count} experiments (one run each, so nothing is known about the variation "
        "between seeds)"
    )


def _of_seeds(summaries: Sequence[Summary]) -> str:
    """Says of how many seeds medians are, and how many of them reached the target."""
    seeds = sorted({summary.seeds for summary in summaries})
    text = f"median of {_seeds(seeds[0])}"
    if len(seeds) > 1:
        text = f"medians of {seeds[0]} to {seeds[-1]} seeds"
    if any(summary.reached < summary.seeds for summary in summaries):
        reached = sorted({summary.reached for summary in summaries})
        text += f", of which {'at least ' if len(reached) > 1 else ''}{reached[0]} reached it"
    return text


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _joined(names: Sequence[str]) -> str:
    return join_names(names, _MOST_NAMED, "others")


def _are(things: Collection[object]) -> str:
    return "is" if len(things) == 1 else "are"
