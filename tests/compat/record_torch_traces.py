"""Records what torch's schedulers do, for the tests of `jaxsched.compat.torch`.

    pip install torch==2.13.0 numpy && python tests/compat/record_torch_traces.py

writes `torch_traces.json` beside this file. The arguments are drawn with a fixed seed; the edge
cases are chosen. A trace holds the learning rate, and the momentum where it cycles, that torch uses
for update 0, 1, 2, …: whole runs, and three updates past the end.
"""

import json
import pathlib
import random
import warnings
from typing import Any

import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

TRACES = pathlib.Path(__file__).with_name("torch_traces.json")
PAST_THE_END = 3
DRAWS = 24

# Functions cannot be written to a file, so recorder and test look them up by name.
FUNCTIONS = {
    "inverse time": lambda t: 1 / (1 + 0.1 * t),
    "root": lambda t: (1 + t) ** -0.5,
    "line": lambda t: 1 - 0.01 * t,
    "halve": lambda t: 0.5,
    "shrink less and less": lambda t: 1 - 0.5 / t,
    "by cycle": lambda cycle: 1 / cycle,
    "by update": lambda t: 1 / (1 + 0.01 * t),
}
FUNCTION_ARGUMENTS = ("lr_lambda", "scale_fn")


def build(optimizer: torch.optim.Optimizer, name: str, arguments: dict[str, Any]) -> Any:
    """torch's scheduler of that name; nested schedulers are [name, arguments] pairs."""
    arguments = dict(arguments)
    for key in FUNCTION_ARGUMENTS:
        if key in arguments:
            arguments[key] = FUNCTIONS[arguments[key]]
    if "schedulers" in arguments:
        parts = [build(optimizer, *part) for part in arguments.pop("schedulers")]
        if name == "ChainedScheduler":
            return lr_scheduler.ChainedScheduler(parts)
        return lr_scheduler.SequentialLR(optimizer, parts, **arguments)
    if name == "SWALR":
        return SWALR(optimizer, **arguments)
    return getattr(lr_scheduler, name)(optimizer, **arguments)


def trace(lr: float, name: str, arguments: dict[str, Any], updates: int) -> dict[str, Any]:
    """The learning rate and the momentum in force at each of `updates` updates."""
    weight = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=lr, momentum=0.5)
    scheduler = build(optimizer, name, arguments)
    lrs, momenta = [], []
    for update in range(updates):
        group = optimizer.param_groups[0]
        lrs.append(group["lr"])
        momenta.append(group["momentum"])
        optimizer.step()
        if update + 1 < updates:
            scheduler.step()
    recorded = {"lr": lr, "name": name, "arguments": arguments, "lrs": lrs}
    if any(momentum != 0.5 for momentum in momenta):
        recorded["momenta"] = momenta
    return recorded


def simple(draw: random.Random, name: str) -> tuple[dict[str, Any], int]:
    """Arguments of a scheduler that is a product of factors, and the length of its run."""
    total = draw.randint(1, 60)
    factor = draw.choice([0.1, 0.2, 0.5, 0.9, round(draw.uniform(0.05, 1.0), 3)])
    if name == "StepLR":
        return {"step_size": draw.randint(1, 20), "gamma": factor}, 80
    if name == "MultiStepLR":
        milestones = [draw.randint(0, 70) for _ in range(draw.randint(1, 5))]
        return {"milestones": milestones, "gamma": factor}, 80
    if name == "ConstantLR":
        return {"factor": factor, "total_iters": total}, total
    if name == "LinearLR":
        end = draw.choice([0.0, 0.5, 1.0, round(draw.random(), 3)])
        return {"start_factor": factor, "end_factor": end, "total_iters": total}, total
    if name == "ExponentialLR":
        return {"gamma": draw.choice([0.5, 0.9, 0.99, 0.999, 1.0, 1.01])}, 100
    if name == "PolynomialLR":
        return {"total_iters": total, "power": draw.choice([0.5, 0.9, 1.0, 2.0, 3.0])}, total
    return {"T_max": total, "eta_min": 0.0}, total


SIMPLE = (
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
)


def with_eta_min(draw: random.Random, lr: float) -> tuple[dict[str, Any], int]:
    total = draw.randint(2, 80)
    return {"T_max": total, "eta_min": draw.choice([0.0, lr / 100, lr / 2])}, 2 * total


def restarts(draw: random.Random, lr: float) -> tuple[dict[str, Any], int]:
    arguments = {
        "T_0": draw.randint(1, 20),
        "T_mult": draw.randint(1, 4),
        "eta_min": draw.choice([0.0, lr / 100]),
    }
    return arguments, 150


def cyclic(draw: random.Random, lr: float) -> tuple[dict[str, Any], int]:
    up, down = draw.randint(1, 25), draw.choice([None, draw.randint(1, 25)])
    arguments = {
        "base_lr": lr / 10,
        "max_lr": lr,
        "step_size_up": up,
        "step_size_down": down,
        "mode": draw.choice(["triangular", "triangular2", "exp_range"]),
        "gamma": draw.choice([1.0, 0.99, 0.9]),
        "base_momentum": draw.choice([0.8, 0.85]),
        "max_momentum": draw.choice([0.9, 0.95]),
    }
    if draw.random() < 0.2:
        scale_mode, scale_fn = draw.choice([("cycle", "by cycle"), ("iterations", "by update")])
        arguments |= {"scale_mode": scale_mode, "scale_fn": scale_fn}
    return arguments, 3 * (up + (down or up))


def one_cycle(draw: random.Random, lr: float) -> tuple[dict[str, Any], int]:
    total = draw.choice([draw.randint(2, 20), draw.randint(20, 200)])
    arguments = {
        "max_lr": lr,
        "total_steps": total,
        "pct_start": draw.choice([0.0, 0.23, 0.25, 0.3, 0.45, 0.6, 0.9]),
        "anneal_strategy": draw.choice(["cos", "linear"]),
        "base_momentum": draw.choice([0.8, 0.85]),
        "div_factor": draw.choice([10.0, 25.0]),
        "final_div_factor": draw.choice([100.0, 1e4]),
        "three_phase": draw.random() < 0.4,
    }
    # torch divides by zero where the rise is exactly one update long.
    return arguments, (0 if arguments["pct_start"] * total == 1 else total)


def combined(draw: random.Random, name: str) -> tuple[dict[str, Any], int]:
    """Two or three simple members; chained ones are factors, as in torch's documentation."""
    members = [draw.choice(SIMPLE) for _ in range(draw.randint(2, 3))]
    parts = [(member, simple(draw, member)[0]) for member in members]
    if name == "ChainedScheduler":
        # After its T_max a cosine adds instead of multiplying; `quirks` records that.
        ends = [arguments["T_max"] for _, arguments in parts if "T_max" in arguments]
        return {"schedulers": parts}, min([60, *(end - PAST_THE_END for end in ends)])
    milestones = sorted(draw.sample(range(1, 60), len(parts) - 1))
    return {"schedulers": parts, "milestones": milestones}, 80


def drawn(draw: random.Random) -> list[dict[str, Any]]:
    """Every scheduler with arguments drawn at random."""
    traces = []
    for _ in range(DRAWS):
        lr = draw.choice([1.0, 0.1, 0.05, 3e-4])
        cases = {name: simple(draw, name) for name in SIMPLE}
        cases["CosineAnnealingLR"] = with_eta_min(draw, lr)
        cases["CosineAnnealingWarmRestarts"] = restarts(draw, lr)
        cases["CyclicLR"] = cyclic(draw, lr)
        cases["OneCycleLR"] = one_cycle(draw, lr)
        cases["SequentialLR"] = combined(draw, "SequentialLR")
        cases["ChainedScheduler"] = combined(draw, "ChainedScheduler")
        cases["SWALR"] = (
            {
                "swa_lr": draw.choice([lr / 2, lr / 20, 2 * lr]),
                "anneal_epochs": draw.randint(0, 40),
                "anneal_strategy": draw.choice(["cos", "linear"]),
            },
            40,
        )
        for name, (arguments, updates) in cases.items():
            # After its last update OneCycleLR rises again, then raises; `chosen` records the rise.
            past = 0 if name == "OneCycleLR" else PAST_THE_END
            if updates > 0:
                traces.append(trace(lr, name, arguments, updates + past))
    return traces


def chosen() -> list[dict[str, Any]]:
    """Defaults, functions, and the edge cases."""
    at_once = [("ConstantLR", {}), ("ExponentialLR", {"gamma": 0.9})]
    setting = [
        ("ExponentialLR", {"gamma": 0.5}),
        ("CosineAnnealingWarmRestarts", {"T_0": 5}),
        ("CyclicLR", {"base_lr": 0.01, "max_lr": 1.0, "step_size_up": 7, "cycle_momentum": False}),
    ]
    defaults = [
        ("StepLR", {"step_size": 30}, 100),
        ("MultiStepLR", {"milestones": [30, 80]}, 100),
        ("MultiStepLR", {"milestones": [80, 30, 30, 0]}, 100),
        ("ConstantLR", {}, 10),
        ("LinearLR", {}, 10),
        ("ExponentialLR", {"gamma": 0.0}, 5),
        ("ExponentialLR", {"gamma": 0.9999}, 2000),
        ("StepLR", {"step_size": 1, "gamma": 0.97}, 600),
        ("PolynomialLR", {}, 10),
        ("CosineAnnealingLR", {"T_max": 1}, 6),
        ("CosineAnnealingLR", {"T_max": 1000}, 1010),
        ("CosineAnnealingLR", {"T_max": 10, "eta_min": 2.0}, 25),  # rises
        ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}, 500),  # restarts at 121, 364
        ("CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 2}, 320),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4}, 30),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 1}, 9),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 1}, 1),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 2}, 2),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 3}, 3),
        ("OneCycleLR", {"max_lr": 1.0, "epochs": 5, "steps_per_epoch": 20}, 100),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20, "pct_start": 1.0}, 20),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 2000}, 2000),
        ("SWALR", {"swa_lr": 0.05}, 20),
        ("SWALR", {"swa_lr": 0.05, "anneal_epochs": 0}, 5),
        ("SequentialLR", {"schedulers": at_once, "milestones": [0]}, 20),
        ("SequentialLR", {"schedulers": setting, "milestones": [10, 30]}, 55),
    ]
    functions = [
        ("LambdaLR", {"lr_lambda": name}, 60) for name in ("inverse time", "root", "line")
    ] + [
        ("MultiplicativeLR", {"lr_lambda": name}, 60) for name in ("halve", "shrink less and less")
    ]
    return [trace(0.1, *case) for case in defaults + functions]


def one_update_rise() -> str:
    """torch's error for a rise that is exactly one update long."""
    try:
        trace(1.0, "OneCycleLR", {"max_lr": 1.0, "total_steps": 4, "pct_start": 0.25}, 1)
    except ZeroDivisionError as error:
        return type(error).__name__
    return "nothing"


def quirks() -> dict[str, Any]:
    """torch's behaviour where `jaxsched.compat.torch` differs from it."""
    bounce = {"max_lr": 1.0, "total_steps": 10}
    cosine = ("CosineAnnealingLR", {"T_max": 100, "eta_min": 0.1})
    decay = ("ExponentialLR", {"gamma": 0.99})
    restart = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    by_epoch = lr_scheduler.CosineAnnealingWarmRestarts(restart, T_0=1, T_mult=3)
    by_epoch.step(121)
    return {
        "one cycle after its end": trace(1.0, "OneCycleLR", bounce, 11),
        "restart by float logarithm": restart.param_groups[0]["lr"],
        "chained, cosine first": trace(
            1.0, "ChainedScheduler", {"schedulers": [cosine, decay]}, 100
        ),
        "chained, cosine last": trace(
            1.0, "ChainedScheduler", {"schedulers": [decay, cosine]}, 100
        ),
        "chained, past a cosine's end": trace(
            1.0,
            "ChainedScheduler",
            {"schedulers": [("CosineAnnealingLR", {"T_max": 10}), decay]},
            15,
        ),
        "a pct_start of one update": one_update_rise(),
        "constant for no steps": trace(1.0, "ConstantLR", {"total_iters": 0}, 3),
        "linear for no steps": trace(1.0, "LinearLR", {"total_iters": 0}, 3),
        "polynomial for no steps": trace(1.0, "PolynomialLR", {"total_iters": 0}, 3),
    }


def conventions() -> dict[str, Any]:
    """Which update is the first to use a new value."""
    warm = {"start_factor": 0.25, "total_iters": 4}
    return {
        "milestones 3 and 6": trace(1.0, "MultiStepLR", {"milestones": [3, 6]}, 12),
        "warm-up of 4 from a quarter": trace(1.0, "LinearLR", warm, 12),
    }


def record() -> None:
    """Writes the traces."""
    warnings.simplefilter("ignore", UserWarning)
    traces = drawn(random.Random(0)) + chosen()
    recorded = {
        "torch": torch.__version__,
        "conventions": conventions(),
        "quirks": quirks(),
        "traces": traces,
    }
    TRACES.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
    print(f"{len(traces)} traces, {TRACES.stat().st_size / 1e6:.2f} MB, torch {torch.__version__}")


if __name__ == "__main__":
    record()
