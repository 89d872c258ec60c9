"""The page of AlgoPerf's competition: scores, profiles, and the times behind them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import altair as alt

from jaxsched.bench.algoperf.competition import Competition
from jaxsched.bench.algoperf.rules import Standing, by_seconds, standing
from jaxsched.bench.algoperf.studies import study_of
from jaxsched.bench.report.page.charts.encodings import chart_of, colours, emphasis
from jaxsched.bench.report.page.charts.labelled import profile_chart
from jaxsched.bench.report.page.charts.specification import specification
from jaxsched.bench.report.page.figures.figure import Figure
from jaxsched.bench.report.page.rendering import legend, write_rendered
from jaxsched.bench.statistics.performance_profile import R_MAX
from jaxsched.bench.values import best_value
from jaxsched.plotting.style import COLOURS
from jaxsched.tracking.records import Record

_HEIGHT, _ROW = 320, 38  # in pixels: of a chart, and of a workload in one


def write_competition_page(
    competition: Competition, records: Mapping[str, Sequence[Record]], path: Path
) -> Standing:
    """Writes the page of the competition: one HTML file that opens without a network.

    Args:
        competition: the competition, of which only the workloads, the source, the published scores
            and the cautions are shown.
        records: the records of its trials, by workload, see `read_studies`.
        path: the file to write.

    Returns:
        The standing that the page shows.

    Raises:
        OSError: when it cannot be written.
    """
    found = standing(competition.workloads, records)
    fastest = standing(competition.workloads, records, by_seconds)
    names = sorted(found.profile.scores, key=lambda name: -found.profile.scores[name])
    figures = {"profile": _profile(found, names), "relative": _relative(found, names)}
    scored = list(found.counted[names[0]])
    held_out = [name for name in competition.workloads if name in records and name not in scored]
    write_rendered(
        "competition.html.j2",
        path,
        figures,
        competition=competition,
        figures=figures,
        num_trials=sum(map(len, records.values())),
        num_scored=len(scored),
        caveats=[*competition.cautions, *_caveats(competition, records, names)],
        scores=list(_scores(competition, found, fastest, names)),
        legend=legend(names, names),
        times=list(_times(found, names, scored)),
        held_out=list(_times(found, names, held_out)),
        workloads=list(_workloads(competition, found, records)),
    )
    return found


def _scores(
    competition: Competition, found: Standing, fastest: Standing, names: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The rows of the scores, the best first, after their heading."""
    published = competition.published
    compared = ("published", "difference") if published else ()
    yield ("", "score", *compared, "if the fastest trial counts", "workloads that count")
    for name in names:
        score, counted = found.profile.scores[name], found.counted[name]
        known = published.get(name)
        change = ("", "") if known is None else (f"{known:.4f}", f"{score - known:+.4f}")
        yield (
            name,
            f"{score:.4f}",
            *(change if published else ()),
            f"{fastest.profile.scores[name]:.4f}",
            f"{sum(map(math.isfinite, counted.values()))} of {len(counted)}",
        )


def _times(
    found: Standing, names: Sequence[str], workloads: Sequence[str]
) -> Iterator[tuple[str, ...]]:
    """The rows of the hours to the target, after their heading."""
    yield ("", *workloads)
    for name in names:
        yield (name, *(_cell(found, name, workload) for workload in workloads))


def _cell(found: Standing, name: str, workload: str) -> str:
    seconds, reason = found.times[name][workload], found.reasons[name].get(workload)
    if math.isinf(seconds):
        return "missed"
    hours = f"{seconds / 3600:.2f}"
    return f"{hours} ({reason})" if reason else hours


def _workloads(
    competition: Competition, found: Standing, records: Mapping[str, Sequence[Record]]
) -> Iterator[tuple[str, ...]]:
    """The rows of the workloads, after their heading."""
    yield ("", "metric", "better", "target", "trials", "trials at the target", "shortest time")
    for name, workload in competition.workloads.items():
        if name in records:
            times = {submission: row[name] for submission, row in found.times.items()}
            first = min(times, key=times.__getitem__)
            at_target = sum(_is_at_target(run, competition, name) for run in records[name])
            yield (
                name,
                workload.metric.words,
                workload.metric.better,
                workload.metric.show(workload.target),
                f"{len(records[name]):,}",
                f"{at_target:,}",
                first if math.isfinite(times[first]) else "none",
            )


def _is_at_target(record: Record, competition: Competition, workload: str) -> bool:
    of = competition.workloads[workload]
    best = best_value(record, of.metric)
    return best is not None and of.metric.reaches(best, of.target)


def _caveats(
    competition: Competition, records: Mapping[str, Sequence[Record]], names: Sequence[str]
) -> Iterator[str]:
    """Sentences that a reader must know before the scores."""
    absent = [workload for workload in competition.workloads if workload not in records]
    if absent:
        yield f"There are no trials on {', '.join(absent)}."
    numbers = {
        name: {
            w: [study_of(run) for run in runs if run.name == name] for w, runs in records.items()
        }
        for name in names
    }
    usual = max(len(studies) for of in numbers.values() for studies in of.values())
    for name, of in numbers.items():
        none = [workload for workload, studies in of.items() if not studies]
        if none:
            yield f"{name} has no trial on {', '.join(none)}, which counts as a miss."
        few = [
            f"{len(studies)} in {len(set(studies))} studies on {workload}"
            for workload, studies in of.items()
            if 0 < len(studies) < usual
        ]
        if few:
            yield f"{name} has fewer than {usual} trials: {', '.join(few)}."


def _profile(found: Standing, names: Sequence[str]) -> Figure:
    text = (
        "The share of the workloads that a submission trained to the target in at most so many "
        "times the time of the fastest submission. Higher is better; the score is the mean height."
    )
    spec = profile_chart(found.profile, names, "time, as a multiple of the fastest", _HEIGHT)
    return Figure("Performance profile", text, spec)


def _relative(found: Standing, names: Sequence[str]) -> Figure:
    """The figure of each submission's time on each workload, relative to the fastest."""
    workloads = list(found.counted[names[0]])
    least = {w: min(found.counted[name][w] for name in names) for w in workloads}
    rows = [
        {"experiment": name, "workload": w, "ratio": found.counted[name][w] / least[w]}
        for name in names
        for w in workloads
        if math.isfinite(found.counted[name][w])
    ]
    points = chart_of("points").mark_point(filled=True, size=90)
    points = points.encode(
        x=alt.X(
            "ratio:Q",
            title="time, as a multiple of the fastest",
            scale=alt.Scale(type="log", domain=[1, R_MAX], nice=False),
            axis=alt.Axis(values=[1, 1.25, 1.5, 2, 2.5, 3, 4], format="~g"),
        ),
        y=alt.Y("workload:N", title=None, sort=workloads, axis=alt.Axis(grid=True)),
        color=colours(names),
        shape=_shapes(names),
        opacity=emphasis("0.85"),
        tooltip=["experiment:N", "workload:N", alt.Tooltip("ratio:Q", format=".2f")],
    )
    text = "Each point is a submission that reached the target of a workload in a time that counts."
    height = _ROW * len(workloads)
    spec = specification([points], {"points": rows}, names, height)
    return Figure("Times on each workload", text, spec)


def _shapes(names: Sequence[str]) -> alt.Shape:
    """Shapes that tell submissions of one colour apart, as dashes do for lines."""
    shapes = ("circle", "diamond", "square", "cross")
    rounds = [shapes[number // len(COLOURS) % len(shapes)] for number in range(len(names))]
    scale = alt.Scale(domain=list(names), range=rounds)
    return alt.Shape("experiment:N", scale=scale, legend=None)
