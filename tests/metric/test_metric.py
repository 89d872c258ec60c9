"""Metrics: which values are better, and how they are shown."""

import math

import pytest

from jaxsched.metric import Metric, bare_name

LOSS, ACCURACY = Metric("test_loss", "lower"), Metric("test_accuracy", "higher", is_share=True)


def test_a_value_equal_to_the_target_reaches_it_and_nan_never_does():
    for metric, better in ((LOSS, -1), (ACCURACY, 1)):
        assert metric.reaches(0.5, 0.5) and metric.reaches(0.5 + better / 10, 0.5)
        assert not metric.reaches(0.5 - better / 10, 0.5)
        assert not metric.reaches(math.nan, 0.5)
        assert metric.gain(0.5 + better / 8, 0.5) == 0.125
    assert (LOSS.best([3, math.nan, 1]), ACCURACY.best([3, math.nan, 1])) == (1, 3)
    assert math.isnan(LOSS.best([math.nan]))


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (2.13579, 0.0123, "2.136 ± 0.012"),
        (213.579, 12.3, "214 ± 12"),
        (0.0213579, 0.000123, "0.02136 ± 0.00012"),
        (2.13579, None, "2.1358"),
        (2.5, 0.0, "2.5 ± 0"),
        (None, None, "none"),
    ],
)
def test_a_number_has_the_digits_that_its_deviation_leaves(mean, sd, text):
    assert LOSS.show_mean(mean, sd) == text


def test_a_share_is_shown_in_per_cent():
    assert ACCURACY.show_mean(0.935, 0.0012) == "93.50 ± 0.12"
    assert (ACCURACY.show(0.935), LOSS.show(0.123735)) == ("93.50%", "0.123735")
    assert (ACCURACY.show_change(-0.01), LOSS.show_change(0.01)) == ("-1.00", "+0.01")


def test_columns_have_a_metric_after_a_known_prefix():
    names = {"train_loss": "loss", "averaged_test_top_5": "top_5", "test_": None, "loss": None}
    assert {column: bare_name(column) for column in names} == names


def test_another_direction_is_refused():
    with pytest.raises(ValueError, match="metric loss needs to say which values are better"):
        Metric("loss", "down")
