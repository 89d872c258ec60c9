"""The hyper-parameters of a run at every update that it made, computed from its record."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsched.bench.statistics import TimeAxis
from jaxsched.bench.values import value_of
from jaxsched.experiment.from_description import rebuild_growth, rebuild_optimizer
from jaxsched.optim.optimizers import SGD, Optimizer
from jaxsched.optim.stateful import Abel
from jaxsched.plan import Phase, Plan
from jaxsched.tracking.records import Record

# The fields of optimizers that evaluations record in a column.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "learning_rate": ("lr", "learning_rate"),
    "momentum": ("momentum", "b1"),
    "weight_decay": ("weight_decay",),
}
# A record holds float32 numbers, which the trainer may have computed in another order.
_TOLERANCE = 1e-4
_MOST_UPDATES = 2_000_000  # more would take too much memory and time for a page


@dataclass(frozen=True, eq=False)
class InForce:
    """The hyper-parameters of a run's updates, up to its last evaluation.

    Attributes:
        num_examples: N, the number of examples in an epoch.
        is_sgd: whether the optimizer is SGD.
        values: by column, such as "learning_rate", the value that each update used, f64[updates];
            without the columns that cannot be computed.
        times: by axis of time, the time at each update's start and at the end, f64[updates + 1].
            Seconds between evaluations are interpolated.
    """

    num_examples: int
    is_sgd: bool
    values: Mapping[str, np.ndarray]
    times: Mapping[TimeAxis, np.ndarray]


def in_force(run: Record) -> InForce | None:
    """Computes the hyper-parameters of every update from the config and from the phases trained.

    The optimizer is made again from its description. The scales of ABEL and plateau are those of
    the record's evaluations; a decay between two of them is set at the update that can have decided
    it, and just before the later evaluation where there are several. A column whose values are not
    those recorded at all evaluations is left out, as after a change of the schedule's code.

    Returns:
        None where the optimizer cannot be made again, such as that of a loop of one's own, or
        where there are millions of updates.
    """
    rows = run.evaluations
    if not rows or rows[-1]["step"] > _MOST_UPDATES:
        return None
    try:
        plan, optimizer = _plan(run), rebuild_optimizer(run.header["config"])
        growth = rebuild_growth(run.header["config"])
        steps = np.arange(min(rows[-1]["step"], plan.total_steps))
        decays = _decays(rows, plan, optimizer, len(steps))
        known = {
            name: _scheduled(optimizer, plan, fields, steps) for name, fields in _FIELDS.items()
        }
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None  # whatever a record of another's loop or of another version holds there
    sizes, examples = _batch_sizes(plan, len(steps))
    if (rate := known["learning_rate"]) is not None:
        factors = [1.0 if growth is None else growth.lr_factor(int(sizes[0]), s) for s in sizes]
        known["learning_rate"] = rate * decays * np.array(factors)
    known["batch_size"] = sizes.astype(float)
    values = {
        column: of for column, of in known.items() if of is not None and _agrees(of, rows, column)
    }
    return InForce(
        plan.num_examples, isinstance(optimizer, SGD), values, _times(rows, plan, examples)
    )


def _plan(run: Record) -> Plan:
    """The plan that the run trained, whose batch sizes it may have decided itself."""
    phases = (run.end or {}).get("phases") or run.header["config"]["phases"]
    last = run.evaluations[-1]
    num_examples = round(last["examples"] / last["epoch"])
    return Plan(tuple(Phase(of["epochs"], of["batch_size"]) for of in phases), num_examples)


def _scheduled(
    optimizer: Optimizer, plan: Plan, fields: Sequence[str], steps: np.ndarray
) -> np.ndarray | None:
    """The values of a schedule; None if the optimizer has none under these names."""
    schedules = optimizer.schedules()
    schedule = next((schedules[name] for name in fields if name in schedules), None)
    if schedule is None:
        return None
    return np.broadcast_to(np.asarray(plan.in_updates(schedule)(steps), float), steps.shape)


def _batch_sizes(plan: Plan, updates: int) -> tuple[np.ndarray, np.ndarray]:
    """The batch size of each update, and the number of examples before it and at the end."""
    segments = plan.segments
    lengths = [segment.end_step - segment.start_step for segment in segments]
    sizes = np.repeat([segment.batch_size for segment in segments], lengths)[:updates]
    return sizes, np.concatenate([[0], np.cumsum(sizes)])


def _times(
    rows: Sequence[Mapping[str, Any]], plan: Plan, examples: np.ndarray
) -> dict[TimeAxis, np.ndarray]:
    steps = np.arange(len(examples))
    times: dict[TimeAxis, np.ndarray] = {
        "step": steps.astype(float),
        "examples": examples.astype(float),
        "epoch": examples / plan.num_examples,
    }
    if all("train_seconds" in row for row in rows):
        marks, seconds = zip(*((row["step"], row["train_seconds"]) for row in rows), strict=True)
        times["train_seconds"] = np.interp(steps, (0, *marks), (0.0, *seconds))
    return times


def _agrees(values: np.ndarray, rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether the last update before each evaluation used the value that the record holds."""
    recorded = [(row["step"] - 1, value_of(row, column)) for row in rows]
    pairs = [(values[step], value) for step, value in recorded if value is not None]
    if not pairs or recorded[-1][0] >= len(values):
        return False
    computed, found = np.array(pairs, float).T
    return bool(np.all(np.abs(computed - found) <= _TOLERANCE * np.max(np.abs(found))))


def _decays(
    rows: Sequence[Mapping[str, Any]], plan: Plan, optimizer: Optimizer, updates: int
) -> np.ndarray:
    """The product of ABEL's and plateau's scales at each update."""
    decays = np.ones(updates)
    for name in ("abel", "plateau"):
        step, scale = 0, 1.0
        for row in rows:
            after = (row.get(name) or {}).get("scale", scale)
            # Plateau reads an evaluation at the first update after it.
            found = {step: after / scale}
            if name == "abel":
                found = _abel_decays(optimizer.abel, plan, range(step, row["step"]), after / scale)
            for update, factor in found.items():
                decays[update:] *= factor
            step, scale = row["step"], after
    return decays


def _abel_decays(abel: Abel | None, plan: Plan, stretch: range, factor: float) -> dict[int, float]:
    """The decays of ABEL between two evaluations, by their updates.

    It measures at the first update of an epoch, and decays at a time that was given, too. A decay
    is set at the last update of the stretch where several updates or none may have decided it.

    Args:
        abel: its settings.
        plan: the run's plan.
        stretch: the updates between the evaluations.
        factor: the product of the decays.
    """
    found = {}
    last = None if abel is None else abel.last_decay_at(plan)
    if abel is not None and last is not None and last in stretch and factor < 1:
        found[last] = max(factor, abel.decay_factor)
        factor /= found[last]
    if not math.isclose(factor, 1, rel_tol=1e-3):
        steps = np.arange(max(stretch.start, 1), stretch.stop)
        starts = steps[np.asarray(plan.is_epoch_start(steps), bool)]
        update = int(starts[0]) if len(starts) == 1 else stretch.stop - 1
        found[update] = factor * found.get(update, 1.0)
    return found
