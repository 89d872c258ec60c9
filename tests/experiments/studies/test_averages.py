"""The study of averages: equal epochs for both sides, the source's numbers at full size."""

import pytest


@pytest.fixture(scope="module")
def study(load_experiment):
    return load_experiment("studies/averages")


def test_both_sides_take_equal_epochs_and_share_the_cycle_s_peak(study):
    for name, epochs in {"half": 15.0, "quarter": 12.5}.items():
        cycle, swa = study.study(name, dict.fromkeys(study.AVERAGED, 0.02)).experiments
        assert cycle.phases == swa.phases
        assert swa.phases[0].epochs == epochs
        assert swa.optimizer.averaging.start == 10
        assert cycle.optimizer.lr.peak == swa.optimizer.lr.parts[0].peak == study.PEAK


def test_the_full_size_has_the_source_s_rates(study):
    cycle, swa = study.sizes["full"].experiments
    rate = swa.plan(50_000).schedule(swa.optimizer.schedules()["lr"])
    steps = swa.plan(50_000).total_steps
    assert rate(steps // 5).item() == pytest.approx(0.1, rel=1e-3)  # 30 % of the first 20 epochs
    assert rate(steps - 1).item() == pytest.approx(0.01)
    assert cycle.phases[0].epochs == 30
