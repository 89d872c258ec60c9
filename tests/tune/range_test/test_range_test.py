"""The range test of an experiment: what it raises, what it measures, how it stops and goes on."""

import dataclasses
import json

import numpy as np
import pytest
from rich.console import Console

import jaxsched as js
from jaxsched.data import Digits, Synthetic
from jaxsched.tracking import Progress, claim_runs
from jaxsched.train import Program, train
from jaxsched.tune import MOMENTUM_RANGE, RangeTest, RangeTestRuns, write_range_report
from jaxsched.tune.range_test.curve_files import read_curve, write_curve

TEST = RangeTest(low=1e-3, high=1.0, num_updates=60, seeds=(0, 1))


def runs_of(experiment, dataset, folder, test=TEST):
    return RangeTestRuns(experiment, dataset, test, folder, source_text="")


@pytest.fixture(scope="module")
def done(experiment, dataset, tmp_path_factory):
    """A whole test, its seeds one after another."""
    folder = tmp_path_factory.mktemp("range")
    runs, asked = runs_of(experiment, dataset, folder), []
    with Progress(Console(quiet=True)) as bar:
        runs.run(bar, choice="in_turn", check=lambda: asked.append(1))
    assert asked
    return runs


@pytest.mark.slow
def test_the_rate_rises_by_a_factor_an_update_and_the_rest_is_held(experiment, dataset):
    plan = experiment.plan(len(dataset.train))
    short = TEST.experiment(experiment, plan)
    of_short = short.plan(len(dataset.train))
    assert of_short.total_steps == 60
    schedule = of_short.schedule(short.optimizer.lr)
    expected = [1e-3 * 1000 ** (k / 59) for k in range(60)]
    np.testing.assert_allclose(schedule(np.arange(60)), expected, rtol=2e-5)
    np.testing.assert_allclose(TEST.values(), expected, rtol=1e-12)
    # 1cycle's momentum is lowest where its rate is highest.
    assert short.optimizer.momentum.value == pytest.approx(0.85, rel=1e-2)
    assert short.optimizer.weight_decay == js.Constant(1e-3)


@pytest.mark.slow
def test_a_momentum_rises_in_a_straight_line_at_the_highest_rate(experiment, dataset):
    test = dataclasses.replace(MOMENTUM_RANGE, num_updates=31)
    short = test.experiment(experiment, experiment.plan(len(dataset.train)))
    assert short.optimizer.lr.value == pytest.approx(0.2, rel=1e-2)
    plan = short.plan(len(dataset.train))
    expected = [0.7 + 0.3 * k / 30 for k in range(31)]
    np.testing.assert_allclose(
        plan.schedule(short.optimizer.momentum)(np.arange(31)), expected, rtol=1e-6
    )
    adam = dataclasses.replace(experiment, optimizer=js.Adam(0.1))
    with pytest.raises(ValueError, match=r"range test of momentum needs .* got .*b1.*; use SGD"):
        test.experiment(adam, experiment.plan(len(dataset.train)))


def test_its_losses_are_those_of_the_same_run_trained(done, dataset):
    """The trainer says the mean loss of each epoch; so do the losses of its updates."""
    program, rows = Program(done.experiment, dataset), []
    train(program, 1, on_evaluation=rows.append)
    ends = [0, *(row.step for row in rows)]
    curve = done.curves[1]
    for start, end, row in zip(ends[:-1], ends[1:], rows, strict=True):
        assert curve.losses[start:end].mean() == pytest.approx(row.train_loss, rel=1e-6)
        assert curve.accuracies[start:end].mean() == pytest.approx(row.train_accuracy, rel=1e-6)
    np.testing.assert_allclose(curve.values, done.test.values())


@pytest.mark.slow
def test_its_validation_losses_are_those_that_the_trainer_finds(
    dataset, experiment, tmp_path, progress
):
    """The trainer evaluates after six updates, which is before the seventh."""
    test = dataclasses.replace(TEST, validate_every=6, seeds=(1,))
    runs = runs_of(test.tested(experiment), dataset, tmp_path, test)
    runs.run(progress, choice="in_turn")
    curve, rows = runs.curves[1].validation, []
    often = dataclasses.replace(runs.experiment, evaluate_every=6 * 16 / len(dataset.train))
    train(Program(often, dataset), 1, on_evaluation=rows.append)
    assert [row.step for row in rows[:3]] == [6, 12, 18]
    found = [(row.metrics["test_loss"], row.metrics["test_accuracy"]) for row in rows[:9]]
    np.testing.assert_allclose(curve.losses[1:], [loss for loss, _ in found], rtol=1e-6)
    np.testing.assert_allclose(curve.accuracies[1:], [share for _, share in found], rtol=1e-6)
    np.testing.assert_allclose(curve.values, test.values()[::6])
    saved = read_curve(runs.folder / "seed1.json")
    np.testing.assert_array_equal(saved.validation.losses, curve.losses)
    at_once = runs_of(experiment, dataset, tmp_path / "at_once", test)
    at_once.run(progress, choice="vmap")
    np.testing.assert_allclose(at_once.curves[1].validation.losses[:3], curve.losses[:3], rtol=1e-3)
    written = write_range_report(
        "small", test, list(runs.curves.values()), tmp_path, evaluated_on=dataset.evaluated_on
    )
    assert "The validation losses are those of test examples" in written.markdown
    content = json.loads((tmp_path / "range_test.json").read_text())
    assert set(content["by_loss"]) == {"training", "validation"}


def test_it_holds_out_what_it_validates(experiment):
    test = dataclasses.replace(TEST, validate_every=5)
    digits = experiment.with_task(data=Digits())
    assert test.tested(digits).task.data == Digits(validation=0.1)
    assert TEST.tested(digits) is digits


@pytest.mark.parametrize("choice", ["vmap", "devices"])
@pytest.mark.slow
def test_seeds_at_once_give_the_curves_of_each_alone(
    done, experiment, dataset, tmp_path, progress, choice
):
    runs = runs_of(experiment, dataset, tmp_path)
    runs.run(progress, choice=choice)
    for seed in (0, 1):
        found, alone = runs.curves[seed].losses, done.curves[seed].losses
        if choice == "devices":
            np.testing.assert_array_equal(found, alone)
        else:  # another order of additions, which grows with the updates
            np.testing.assert_allclose(found[:10], alone[:10], rtol=1e-3)
    (path,) = [tmp_path / runs.folder.name / "seed1.json"]
    assert json.loads(path.read_text())["way"] == choice


@pytest.mark.slow
def test_what_is_done_is_not_made_again_and_what_was_cut_off_is_shown(
    done, experiment, dataset, tmp_path, progress
):
    runs, looks = runs_of(experiment, dataset, tmp_path), []

    def interrupt():
        looks.append(len(runs.curves.get(1, js.RangeCurve([1.0], [1.0])).losses))
        if looks[-1] >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.run(progress, choice="in_turn", check=interrupt)
    assert len(runs.curves[0].losses) == 60 and 20 <= len(runs.curves[1].losses) < 60
    assert sorted(path.name for path in runs.folder.iterdir()) == ["seed0.json"]
    before = (runs.folder / "seed0.json").stat().st_mtime_ns
    again = runs_of(experiment, dataset, tmp_path)
    assert list(again.curves) == [0]
    again.run(progress, choice="in_turn")
    assert (runs.folder / "seed0.json").stat().st_mtime_ns == before
    np.testing.assert_array_equal(again.curves[1].losses, done.curves[1].losses)


def test_it_ends_where_the_loss_diverges(experiment, dataset, tmp_path, progress):
    test = RangeTest(low=1e-2, high=1e30, num_updates=200, seeds=(0,))
    runs = runs_of(experiment, dataset, tmp_path, test)
    runs.run(progress, choice="in_turn")
    curve = runs.curves[0]
    assert curve.diverged_at is not None
    assert len(curve.losses) < 120
    saved = read_curve(runs.folder / "seed0.json")
    np.testing.assert_array_equal(saved.losses, curve.losses)
    assert js.suggest(curve).maximum is None or js.suggest(curve).maximum < 1e3


def test_the_report_says_what_the_curves_suggest(done, tmp_path):
    curves = list(done.curves.values())
    report = write_range_report("small", TEST, curves, tmp_path)
    content = json.loads((tmp_path / "range_test.json").read_text())
    assert content["maximum"] == js.suggest(curves).maximum
    assert content["seeds"] == [0, 1]
    assert report.rows == js.suggest(curves).rows()
    assert report.statements[0] == js.suggest(curves).reason
    markdown = (tmp_path / "range_test.md").read_text()
    assert "| steepest |" in markdown and "0.001 to 1" in markdown
    image = (tmp_path / "range_test.png").read_bytes()
    assert image.startswith(b"\x89PNG")


def test_of_a_momentum_the_report_recommends_none(done, tmp_path):
    report = write_range_report("small", MOMENTUM_RANGE, list(done.curves.values()), tmp_path)
    assert "Do not read a momentum off this curve" in report.statements[0]
    assert "maximum" not in json.loads((tmp_path / "range_test.json").read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": 0.0}, r"low < high, within \(0, inf\) for lr on a log axis, got low=0.0"),
        ({"low": 2.0}, "got low=2.0, high=1.0"),
        ({"of": "momentum", "high": 2.0}, r"within \(0, 1\] for momentum"),
        ({"num_updates": 19}, "at least 20 updates, because fewer are noise, got num_updates=19"),
        ({"judged_by": "validation"}, "needs validate_every to be judged by the validation loss"),
        ({"validate_every": 7}, "validate_every within 1 … 6, so that there are at least 10"),
        ({"seeds": (1, 1)}, r"different seeds, at least one, .* got \(1, 1\)"),
        ({"seeds": ()}, r"different seeds, at least one, .* got \(\)"),
    ],
)
def test_a_range_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TEST, **changes)


def test_a_curve_keeps_what_is_not_finite(tmp_path):
    curve = js.RangeCurve([1.0, 2.0, 4.0], [2.0, 3.0, np.nan], [0.1, 0.2, 0.1], seed=3)
    write_curve(tmp_path / "deep" / "seed3.json", {"seed": 3}, curve)
    found = read_curve(tmp_path / "deep" / "seed3.json")
    np.testing.assert_array_equal(found.losses, curve.losses)
    np.testing.assert_array_equal(found.accuracies, curve.accuracies)
    assert (found.seed, found.axis) == (3, "log")


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "run"}', '{"kind": "range test"}'])
def test_a_file_that_is_no_curve_is_named(tmp_path, text):
    path = tmp_path / "seed0.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"seed0.json: expected a curve .*; move the file away"):
        read_curve(path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    curve = js.RangeCurve([1.0], [2.0])
    with pytest.raises(OSError, match=f"{tmp_path}/file is a file; move it away"):
        write_curve(tmp_path / "file" / "seed0.json", {"seed": 0}, curve)


def test_a_curve_of_other_data_or_changed_by_a_digit_is_refused(tmp_path, dataset):
    path = tmp_path / "seed0.json"
    write_curve(path, {"seed": 0, "data": dataset.fingerprint}, js.RangeCurve([1.0], [2.5]))
    assert read_curve(path, dataset).losses.tolist() == [2.5]
    other = Synthetic(num_train=99, num_test=50, num_classes=4).load()
    with pytest.raises(ValueError, match=r"other data: train.examples: 100 -> 99; train.digest"):
        read_curve(path, other)
    path.write_text(path.read_text().replace("2.5", "2.6"))
    with pytest.raises(ValueError, match="it differs from what was written"):
        read_curve(path)


def test_another_test_in_the_same_folder_is_refused(done, experiment, dataset, progress):
    with (
        claim_runs(done.folder),
        pytest.raises(BlockingIOError, match=f"makes runs in {done.folder}; wait for it"),
    ):
        runs_of(experiment, dataset, done.folder.parent).run(progress)
