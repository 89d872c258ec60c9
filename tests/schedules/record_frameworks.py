"""Records what the schedules of timm, Keras and transformers do, for `test_frameworks.py`.

    pip install timm==1.0.31 keras==3.15.1 transformers==5.24.0 torch
    KERAS_BACKEND=torch python tests/schedules/record_frameworks.py

writes `frameworks.json` beside this file. A trace holds the learning rate of update 0, 1, 2, …,
past the end where there is one. Keras computes in float64.
"""

import inspect
import json
import pathlib
from importlib.metadata import version
from typing import Any

import keras
import timm.scheduler
import torch
from transformers import optimization

TRACES = pathlib.Path(__file__).with_name("frameworks.json")
LR = 0.4
UPDATES = 90

TIMM: list[tuple[str, dict[str, Any]]] = [
    ("TanhLRScheduler", {"t_initial": 70}),
    ("TanhLRScheduler", {"t_initial": 83, "lb": -6.0, "ub": 2.5, "lr_min": 0.01}),
    ("CosineLRScheduler", {"t_initial": 70, "k_decay": 1.5, "lr_min": 0.02}),
    ("CosineLRScheduler", {"t_initial": 20, "cycle_decay": 0.5, "cycle_limit": 4, "lr_min": 0.01}),
    (
        "CosineLRScheduler",
        {"t_initial": 10, "cycle_mul": 2.0, "cycle_decay": 0.7, "cycle_limit": 3, "k_decay": 0.8},
    ),
    ("PolyLRScheduler", {"t_initial": 70, "power": 0.9, "lr_min": 0.01, "k_decay": 2.0}),
]
KERAS: list[tuple[str, dict[str, Any]]] = [
    ("CosineDecayRestarts", {"first_decay_steps": 13, "t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", {"first_decay_steps": 12, "t_mul": 2.0, "m_mul": 0.6}),
    ("InverseTimeDecay", {"decay_steps": 7, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    (
        "PolynomialDecay",
        {"decay_steps": 20, "end_learning_rate": 0.04, "power": 0.9, "cycle": True},
    ),
    ("PolynomialDecay", {"decay_steps": 20, "end_learning_rate": 0.0, "power": 2.0, "cycle": True}),
]
TRANSFORMERS: list[tuple[str, dict[str, Any]]] = [
    (
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        {"num_warmup_steps": 8, "num_training_steps": 80, "num_cycles": 4},
    ),
    (
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        {"num_warmup_steps": 0, "num_training_steps": 80, "num_cycles": 3},
    ),
    (
        "get_wsd_schedule",
        {
            "num_warmup_steps": 15,
            "num_stable_steps": 30,
            "num_decay_steps": 30,
            "warmup_type": "cosine",
            "decay_type": "linear",
            "min_lr_ratio": 0.1,
        },
    ),
]


def optimizer_of_torch() -> torch.optim.Optimizer:
    """An optimizer that a scheduler can change."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=LR)


def by_timm(name: str, arguments: dict[str, Any]) -> list[float]:
    """The learning rates that timm sets when it is told the time."""
    optimizer = optimizer_of_torch()
    scheduler = getattr(timm.scheduler, name)(optimizer, **arguments)
    values = []
    for update in range(UPDATES):
        scheduler.step(update)
        values.append(optimizer.param_groups[0]["lr"])
    return values


def by_keras(name: str, arguments: dict[str, Any]) -> list[float]:
    """The values of a function of the update."""
    keras.config.set_floatx("float64")
    schedule = getattr(keras.optimizers.schedules, name)(LR, **arguments)
    return [float(schedule(update)) for update in range(UPDATES)]


def by_transformers(name: str, arguments: dict[str, Any]) -> list[float]:
    """The learning rates in force when the scheduler is stepped after every update."""
    optimizer = optimizer_of_torch()
    scheduler = getattr(optimization, name)(optimizer, **arguments)
    values = []
    for _ in range(UPDATES):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


RECORDERS = {
    "timm": (by_timm, TIMM),
    "keras": (by_keras, KERAS),
    "transformers": (by_transformers, TRANSFORMERS),
}


def main() -> None:
    """Writes all traces, with the versions that made them."""
    traces = [
        {"framework": framework, "name": name, "arguments": arguments, "lr": LR, "values": values}
        for framework, (record, cases) in RECORDERS.items()
        for name, arguments in cases
        for values in [record(name, arguments)]
    ]
    versions = {name: version(name) for name in (*RECORDERS, "torch")}
    command = (inspect.getdoc(inspect.getmodule(main)) or "").splitlines()[3].strip()
    lines = ",\n".join(json.dumps(trace) for trace in traces)
    header = f'"versions": {json.dumps(versions)},\n"command": {json.dumps(command)}'
    TRACES.write_text(f'{{{header},\n"traces": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
