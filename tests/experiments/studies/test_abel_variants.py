"""ABEL's other rows: factors, Adam, early first decays, and initial scales."""

import jax
import numpy as np
import pytest

import jaxsched as js

NAMES = ("abel_factors", "abel_adam", "abel_early", "abel_scale")


@pytest.fixture(scope="module")
def studies(load_experiment):
    folder = "studies/abel_variants"
    return {n: load_experiment(f"{folder}/{n.removeprefix('abel_')}") for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_size_has_a_study_of_that_name_with_its_baseline(studies, name):
    for size, study in studies[name].sizes.items():
        assert study.name == (name if size == "cpu" else f"{name}_{size}")
        assert study.baseline in [run.name for run in study.experiments]
        assert len({run.digest() for run in study.experiments}) == len(study.experiments)
        assert len(study.seeds) == 3


def rates(run, times):
    lr = run.plan(5_000).in_updates(run.optimizer.lr)
    total = run.plan(5_000).total_steps
    return [float(lr(int(share * total))) for share in times]


def test_each_factor_is_that_of_its_name(studies):
    for run in studies["abel_factors"].sizes["cpu"].experiments:
        factor = float(run.name.rpartition("factor_")[2]) if "factor" in run.name else 0.2
        if run.optimizer.abel:
            assert run.optimizer.abel.decay_factor == factor
        else:
            expected = [0.1, 0.1 * factor, 0.1 * factor**2, 0.1 * factor**3]
            assert rates(run, (0.2, 0.5, 0.7, 0.9)) == pytest.approx(expected)


def test_adam_has_each_schedule_with_l2_in_the_gradient_and_without(studies):
    runs = {run.name: run for run in studies["abel_adam"].sizes["full"].experiments}
    assert set(runs) == {
        f"{schedule}_{setting}"
        for schedule in ("late", "steps", "cosine", "abel")
        for setting in ("l2", "none")
    }
    for name, run in runs.items():
        assert type(run.optimizer) is js.Adam and run.optimizer.coupling == "l2"
        assert (run.optimizer.weight_decay == js.Constant(0.0)) == name.endswith("none")
        assert rates(run, (0.0,)) == pytest.approx([1e-3])


def test_the_first_decay_is_at_the_share_of_its_name(studies):
    for run in studies["abel_early"].sizes["cpu"].experiments:
        if run.name.startswith("first_"):
            share = float(run.name.removeprefix("first_")) / 100
            times = (share - 0.01, share + 0.01, 0.84, 0.86)
            assert rates(run, times) == pytest.approx([0.1, 0.02, 0.02, 0.004])


@pytest.mark.slow
def test_a_scale_multiplies_the_kernels_alone(studies):
    runs = {run.name: run for run in studies["abel_scale"].sizes["cpu"].experiments}
    kernels = {}
    for name in ("late_1", "abel_0.1"):
        params = runs[name].task.model.build(10).init(jax.random.key(0), (8, 8, 3))["params"]
        kernels[name] = params
    jax.tree.map(
        lambda usual, small: np.testing.assert_allclose(
            small, 0.1 * usual if usual.ndim > 1 else usual, rtol=1e-6
        ),
        kernels["late_1"],
        kernels["abel_0.1"],
    )
