"""Writes torch_plateau.json: torch's ReduceLROnPlateau on drawn walks under drawn options.

Run in an environment with torch 2.13: `python tests/transforms/record_torch_plateau.py`.

Metrics and thresholds are multiples of powers of two (1e-4 apart, which cannot tie with them), so
that comparisons are exact in float32 too, ties included.
"""

import json
import pathlib

import numpy as np

NUM_TRACES = 300
LENGTH = 40


def draw_walk(rng: np.random.Generator) -> list[float | None]:
    """A metric that falls, rises, stays or is not a number (None); always above zero."""
    steps = rng.choice([-64, -8, -1, 0, 0, 1, 8], size=LENGTH)
    walk = np.maximum(2048 + np.cumsum(steps * rng.integers(1, 4, size=LENGTH)), 1) / 1024
    is_nan = rng.random(LENGTH) < rng.choice([0.0, 0.0, 0.1])
    return [None if nan else float(value) for nan, value in zip(is_nan, walk, strict=True)]


def draw_options(rng: np.random.Generator) -> dict:
    """Options of ReduceLROnPlateau, extreme ones included."""
    return {
        "mode": str(rng.choice(["min", "max"])),
        "factor": float(rng.choice([0.1, 0.5, 0.9])),
        "patience": int(rng.choice([0, 1, 2, 5])),
        "threshold": float(rng.choice([0.0, 1e-4, 1 / 128, 1 / 8])),
        "threshold_mode": str(rng.choice(["rel", "abs"])),
        "cooldown": int(rng.choice([0, 1, 3])),
        "min_lr": float(rng.choice([0.0, 0.0, 0.01, 0.25])),
        "eps": float(rng.choice([1e-8, 1e-8, 0.125])),
    }


def trace(options: dict, walk: list[float | None]) -> dict:
    """torch's learning rate and counters after each observation; the base rate is 1."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    columns = {"lr": [], "num_bad": [], "cooldown_left": []}
    for value in walk:
        scheduler.step(float("nan") if value is None else value)
        columns["lr"].append(float(f"{optimizer.param_groups[0]['lr']:.9g}"))
        columns["num_bad"].append(scheduler.num_bad_epochs)
        columns["cooldown_left"].append(scheduler.cooldown_counter)
    return {"options": options, "walk": walk, **columns}


def main():
    """Records all traces from one seed."""
    rng = np.random.default_rng(0)
    traces = [trace(draw_options(rng), draw_walk(rng)) for _ in range(NUM_TRACES)]
    lines = ",\n".join(json.dumps(t, separators=(",", ":")) for t in traces)
    pathlib.Path(__file__).with_name("torch_plateau.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
