"""Translates the names that fields of schedules have in other frameworks, for an error."""

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class Foreign(NamedTuple):
    """A schedule of another framework.

    Attributes:
        framework: whose it is.
        name: what it is called there.
        ours: the class that is its counterpart here.
        fields: for each of its arguments what to write instead; a bare name stands for `name=…`.
    """

    framework: str
    name: str
    ours: str
    fields: dict[str, str]


_KERAS_RATE = "initial_learning_rate"
FOREIGN = (
    Foreign(
        "torch",
        "OneCycleLR",
        "OneCycle",
        {
            "max_lr": "peak",
            "total_steps": "duration",
            "epochs": "duration",
            "steps_per_epoch": "duration",
            "pct_start": "rise",
            "anneal_strategy": "anneal",
            "base_momentum": "OneCycle(…).momentum(high=…, low=…)",
            "max_momentum": "OneCycle(…).momentum(high=…, low=…)",
        },
    ),
    Foreign(
        "torch",
        "CyclicLR",
        "Cyclic",
        {
            "base_lr": "base",
            "max_lr": "peak",
            "step_size_up": "up",
            "step_size_down": "down",
            "base_momentum": "Cyclic(…).momentum(high=…, low=…)",
            "max_momentum": "Cyclic(…).momentum(high=…, low=…)",
        },
    ),
    Foreign("torch", "CosineAnnealingLR", "Cosine", {"T_max": "duration", "eta_min": "end"}),
    Foreign(
        "torch",
        "CosineAnnealingWarmRestarts",
        "CosineRestarts",
        {"T_0": "first", "T_mult": "multiplier", "eta_min": "end"},
    ),
    Foreign("torch", "StepLR", "Step", {"step_size": "every", "gamma": "factor"}),
    Foreign("torch", "MultiStepLR", "MultiStep", {"gamma": "factor", "milestones": "milestones"}),
    Foreign("torch", "ExponentialLR", "Exponential", {"gamma": "rate"}),
    Foreign(
        "torch",
        "LinearLR",
        "Linear",
        {
            "start_factor": "start=lr * start_factor",
            "end_factor": "end=lr * end_factor",
            "total_iters": "duration",
        },
    ),
    Foreign("torch", "PolynomialLR", "Polynomial", {"total_iters": "duration"}),
    Foreign(
        "torch", "SequentialLR", "Sequence", {"schedulers": "parts", "milestones": "boundaries"}
    ),
    Foreign("torch", "ChainedScheduler", "Product", {"schedulers": "parts"}),
    Foreign("torch", "LambdaLR", "Function", {"lr_lambda": "fn"}),
    Foreign("torch", "SWALR", "SWAConstant", {"swa_lr": "swa", "anneal_epochs": "start"}),
    Foreign(
        "Optax",
        "cosine_decay_schedule",
        "Cosine",
        {"init_value": "peak", "decay_steps": "duration", "alpha": "end=alpha * peak"},
    ),
    Foreign(
        "Optax",
        "linear_schedule",
        "Linear",
        {"init_value": "start", "end_value": "end", "transition_steps": "duration"},
    ),
    Foreign(
        "Optax",
        "polynomial_schedule",
        "Polynomial",
        {"init_value": "start", "end_value": "end", "transition_steps": "duration"},
    ),
    Foreign(
        "Optax",
        "exponential_decay",
        "Exponential",
        {
            "init_value": "value",
            "transition_steps": "rate=decay_rate ** (1 / transition_steps)",
            "decay_rate": "rate=decay_rate ** (1 / transition_steps)",
            "end_value": "end",
        },
    ),
    Foreign(
        "Optax",
        "piecewise_constant_schedule",
        "MultiStep",
        {"init_value": "value", "boundaries_and_scales": "milestones=…, factor=(…)"},
    ),
    Foreign("Optax", "join_schedules", "Sequence", {"schedules": "parts"}),
    Foreign(
        "Keras",
        "CosineDecayRestarts",
        "CosineRestarts",
        {
            _KERAS_RATE: "peak",
            "first_decay_steps": "first",
            "t_mul": "multiplier",
            "m_mul": "decay",
            "alpha": "end=alpha * peak",
        },
    ),
    Foreign("Keras", "CosineDecay", "Cosine", {_KERAS_RATE: "peak"}),
    Foreign(
        "Keras",
        "PolynomialDecay",
        "Polynomial",
        {_KERAS_RATE: "start", "decay_steps": "duration", "end_learning_rate": "end"},
    ),
    Foreign(
        "Keras",
        "InverseTimeDecay",
        "InverseTime",
        {
            _KERAS_RATE: "peak",
            "decay_steps": "timescale=decay_steps / decay_rate",
            "decay_rate": "timescale=decay_steps / decay_rate",
            "staircase": "every=decay_steps",
        },
    ),
    Foreign("Caffe", "inv", "InverseTime", {"base_lr": "peak", "gamma": "timescale=1 / gamma"}),
    Foreign(
        "timm",
        "CosineLRScheduler",
        "CosineRestarts",
        {
            "t_initial": "first",
            "lr_min": "end",
            "cycle_mul": "multiplier",
            "cycle_decay": 'decay=…, decay_of="peak"',
            "cycle_limit": "cycles",
        },
    ),
    Foreign(
        "timm",
        "TanhLRScheduler",
        "Tanh",
        {"t_initial": "duration", "lr_min": "end", "lb": "lower", "ub": "upper"},
    ),
    Foreign("timm", "PolyLRScheduler", "Polynomial", {"t_initial": "duration", "lr_min": "end"}),
    Foreign("timm", "a warm-up", "Warmup", {"warmup_t": "duration", "warmup_lr_init": "start"}),
)


def explain(owner: str, name: str, known: Iterable[str]) -> str:
    """Returns what to write in place of a field that a schedule has not.

    Args:
        owner: the name of the schedule's class.
        name: what was written.
        known: the fields that there are.

    Example:
        >>> import jaxsched as js
        >>> js.OneCycle(max_lr=0.1, total_steps=90)
        Traceback (most recent call last):
        TypeError: OneCycle has no field max_lr. That is torch's name: write peak=…, or use
        js.compat.torch.OneCycleLR.
    """
    has_none, here = f"{owner} has no field {name}", [f for f in FOREIGN if f.ours == owner]
    for other in here:
        if name in other.fields:
            end = f", or use js.compat.torch.{other.name}" if other.framework == "torch" else ""
            written = _written(other.fields[name])
            return f"{has_none}. That is {other.framework}'s name: write {written}{end}."
    known = list(known)
    if close := difflib.get_close_matches(name, known, n=1):
        return f"{has_none}; did you mean {close[0]}? Its fields are {', '.join(known)}."
    for other in FOREIGN:
        if name in other.fields:
            return (
                f"{has_none}. That is {other.framework}'s name, of {other.name}: here it is "
                f"js.{other.ours} with {_written(other.fields[name])}."
            )
    return f"{has_none}; its fields are {', '.join(known)}."


def _written(field: str) -> str:
    return f"{field}=…" if field.isidentifier() else field
