"""Schedules against what timm, Keras and transformers were recorded to do.

`record_frameworks.py` wrote `frameworks.json`.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsched as js

TRACES = json.loads(pathlib.Path(__file__).with_name("frameworks.json").read_text())["traces"]


def timm_tanh(lr, t_initial, lb=-7.0, ub=3.0, lr_min=0.0):
    return js.Tanh(lr, t_initial, lr_min, lb, ub)


def timm_cosine(
    lr, t_initial, lr_min=0.0, k_decay=1.0, cycle_mul=1, cycle_decay=1.0, cycle_limit=1
):
    if cycle_limit == 1:
        return js.Cosine(lr, t_initial, lr_min, k_decay=k_decay)
    return js.CosineRestarts(
        lr, t_initial, cycle_mul, lr_min, cycle_decay, "peak", cycle_limit, k_decay
    )


def timm_polynomial(lr, t_initial, power, lr_min, k_decay):
    return js.Polynomial(lr, lr_min, t_initial, power, k_decay=k_decay)


def keras_restarts(lr, first_decay_steps, t_mul, m_mul, alpha=0.0):
    return js.CosineRestarts(lr, first_decay_steps, t_mul, alpha * lr, m_mul)


def keras_inverse_time(lr, decay_steps, decay_rate, staircase=False):
    every = decay_steps if staircase else None
    return js.InverseTime(lr, decay_steps / decay_rate, every=every)


def keras_polynomial(lr, decay_steps, end_learning_rate, power, cycle):
    return js.Polynomial(lr, end_learning_rate, decay_steps, power, cycle)


def hard_restarts(lr, num_warmup_steps, num_training_steps, num_cycles):
    first = (num_training_steps - num_warmup_steps) / num_cycles
    restarts = js.CosineRestarts(lr, first, cycles=num_cycles)
    warm = js.Linear(0.0, lr, num_warmup_steps)
    return js.Sequence((warm, restarts), (num_warmup_steps,))


def wsd(lr, num_warmup_steps, num_stable_steps, num_decay_steps, min_lr_ratio, **curves):
    assert curves == {"warmup_type": "cosine", "decay_type": "linear"}
    stable, lowest = num_warmup_steps + num_stable_steps, min_lr_ratio * lr
    end = stable + num_decay_steps
    shape = js.WSD(lr, end, num_decay_steps, end=lowest, shape="linear")
    return js.Warmup(shape, num_warmup_steps, lowest, curve="cosine")


OURS = {
    "TanhLRScheduler": timm_tanh,
    "CosineLRScheduler": timm_cosine,
    "PolyLRScheduler": timm_polynomial,
    "CosineDecayRestarts": keras_restarts,
    "InverseTimeDecay": keras_inverse_time,
    "PolynomialDecay": keras_polynomial,
    "get_cosine_with_hard_restarts_schedule_with_warmup": hard_restarts,
    "get_wsd_schedule": wsd,
}


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: f"{trace['framework']}-{trace['name']}")
def test_every_update_has_the_recorded_value(trace):
    ours = OURS[trace["name"]](trace["lr"], **trace["arguments"])
    theirs, updates = np.array(trace["values"]), np.arange(len(trace["values"]))
    np.testing.assert_allclose(ours(updates), theirs, rtol=1e-6, atol=1e-9)
    jitted = jax.jit(lambda step: ours(step))(jnp.asarray(updates))
    np.testing.assert_allclose(jitted, theirs, rtol=2e-6, atol=1e-8)
