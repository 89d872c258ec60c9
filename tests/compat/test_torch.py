"""torch's schedulers against what torch 2.13 did: recorded traces, hundreds of them."""

import collections
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

import jaxsched as js

HERE = pathlib.Path(__file__).parent
RECORDED = json.loads((HERE / "torch_traces.json").read_text())
TRACES = collections.defaultdict(list)
for recorded in RECORDED["traces"]:
    TRACES[recorded["name"]].append(recorded)

# One length for all traces, so that each operation compiles once.
STEPS = np.arange(2048)
FUNCTIONS = {
    "inverse time": lambda t: 1 / (1 + 0.1 * t),
    "root": lambda t: (1 + t) ** -0.5,
    "line": lambda t: 1 - 0.01 * t,
    "halve": lambda t: 0.5,
    "shrink less and less": lambda t: 1 - 0.5 / t,
    "by cycle": lambda cycle: 1 / cycle,
    "by update": lambda t: 1 / (1 + 0.01 * t),
}


def build(lr, name, arguments):
    """Our schedule for recorded arguments; a (schedule, momentum) pair where torch cycles both."""
    arguments = dict(arguments)
    for key in ("lr_lambda", "scale_fn"):
        if key in arguments:
            arguments[key] = FUNCTIONS[arguments[key]]
    if "schedulers" in arguments:
        parts = [build(lr, *part) for part in arguments["schedulers"]]
        arguments["schedulers"] = [part[0] if isinstance(part, tuple) else part for part in parts]
    if name == "MultiplicativeLR":
        arguments["total_steps"] = 100
    return getattr(js.compat.torch, name)(lr, **arguments)


def check(trace):
    built = build(trace["lr"], trace["name"], trace["arguments"])
    lr, momentum = built if isinstance(built, tuple) else (built, None)
    told = f"torch.{trace['name']}(lr={trace['lr']}, {trace['arguments']})"
    for schedule, values in ((lr, trace["lrs"]), (momentum, trace.get("momenta"))):
        if values is None:
            continue
        ours = np.asarray(schedule(jnp.asarray(STEPS)), np.float64)[: len(values)]
        # torch's recursions end at 4e-21 where the formula says 0.
        nothing = 1e-12 * max(values)
        np.testing.assert_allclose(ours, values, rtol=1e-6, atol=nothing, err_msg=told)


@pytest.mark.parametrize("name", sorted(TRACES))
def test_every_recorded_trace(name):
    for trace in TRACES[name]:
        check(trace)
