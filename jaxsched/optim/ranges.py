"""The ranges of hyper-parameters, which constants and schedules must keep."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsched.optim.fields import is_known_number, is_traced
from jaxsched.plan import Plan
from jaxsched.schedules import Constant, Schedule

# The values of a schedule are looked at at so many updates of a run.
_NUM_UPDATES = 257


class _Range(NamedTuple):
    """The values that a hyper-parameter may have."""

    holds: Callable[[np.ndarray], np.ndarray]
    words: str


_AT_LEAST_0 = _Range(lambda value: (value >= 0) & np.isfinite(value), "finite and at least 0")
_BELOW_1 = _Range(lambda value: (value >= 0) & (value < 1), "from 0 to below 1")
_UP_TO_1 = _Range(lambda value: (value >= 0) & (value <= 1), "from 0 to 1")

_RANGES = {
    **dict.fromkeys(("lr", "learning_rate", "weight_decay"), _AT_LEAST_0),
    **dict.fromkeys(("momentum", "b1", "b2"), _BELOW_1),
}
# A momentum range test goes up to 1, where the noise takes over.
_RANGES_IN_SCHEDULES = {**_RANGES, "momentum": _UP_TO_1}


def require_in_range(owner: str, values: Mapping[str, Any]) -> None:
    """Raises `ValueError` if a number or a `Constant` is out of the range that its name implies.

    Args:
        owner: the class whose values they are.
        values: the values by name; a learning rate is called `lr` or `learning_rate`. Values of
            other names, and what is no number, are not checked.
    """
    for name, value in values.items():
        number = value.value if isinstance(value, Constant) else value
        if name in _RANGES and is_known_number(number):
            allowed = _RANGES[name]
            if not allowed.holds(np.asarray(number)):
                raise ValueError(f"{owner} needs {name} to be {allowed.words}, got {number}.")


def require_schedules_in_range(owner: str, schedules: Mapping[str, Schedule], plan: Plan) -> None:
    """Raises `ValueError` if a schedule leaves the range that its name implies during a run.

    Its values at up to 257 updates are looked at, by NumPy where a schedule can, so before anything
    compiles. A schedule with traced numbers is not checked.

    Args:
        owner: the class whose schedules they are.
        schedules: the schedules in epochs, by name.
        plan: the run's plan.
    """
    varying = {
        name: schedule
        for name, schedule in schedules.items()
        if name in _RANGES and not isinstance(schedule, Constant)
    }
    if not varying:
        return
    steps = np.linspace(0, plan.total_steps - 1, _NUM_UPDATES).astype(int)
    # Not by the plan's clock, which may be traced.
    examples = np.array([plan.examples_at(int(step)) for step in steps])
    epochs = examples / plan.num_examples
    for name, schedule in varying.items():
        values, allowed = _values(plan.resolve(schedule), epochs), _RANGES_IN_SCHEDULES[name]
        if values is None:
            continue
        holds = allowed.holds(values)
        if not holds.all():
            i = holds.argmin()
            raise ValueError(
                f"{owner} needs {name} to be {allowed.words} in the whole run, got {values[i]:g} "
                f"at epoch {epochs[i]:g} from {schedule}."
            )


def _values(schedule: Schedule, times: np.ndarray) -> np.ndarray | None:
    """Returns the values at these times, None where they are not known before the program runs."""
    if any(map(is_traced, jax.tree.leaves(schedule))):
        return None
    try:
        with jax.ensure_compile_time_eval():
            return np.broadcast_to(np.asarray(schedule(times)), times.shape)
    except Exception:
        # A function of the user's own, for single or traced times only; the run evaluates it so.
        return None
