"""Evaluations as they come: lines in a pipe, a table in a terminal."""

import io

import pytest
from rich.console import Console

from jaxsched.tasks import LOSS, Metric
from jaxsched.tracking import EvaluationTable, Progress
from jaxsched.train import Evaluation

ACCURACY = Metric("accuracy", better="higher", is_share=True)
NAMES = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_averaged")
STATES = ("squared_norm", "abel", "plateau", "noise", "layers", "norm_change")


def row(step, averaged):
    times = {"epoch": step / 4, "examples": 16 * step, "train_seconds": 2, "evaluation_seconds": 1}
    metrics = {"train_loss": 2.5, "train_accuracy": 0.25, "test_loss": 2.0, "test_accuracy": 0.5}
    average = {"averaged_test_loss": averaged, "averaged_test_accuracy": averaged}
    rest = dict.fromkeys((*NAMES, *STATES))
    return Evaluation.from_json({"step": step, **times, **metrics, **average, **rest})


def printed(*, has_average=True, **options):
    out = io.StringIO()
    progress = Progress(Console(file=out, **options))  # not started, so that no bar is drawn
    table = EvaluationTable(progress, (LOSS, ACCURACY), ACCURACY, has_average=has_average)
    table.add(row(4, None))
    table.add(row(1000, 0.75))
    return out.getvalue().splitlines()


def test_a_pipe_gets_a_line_an_evaluation_that_stands_by_itself():
    assert printed(width=20) == [
        "epoch 1, update 4: train loss 2.5, test loss 2, train accuracy 25.00%, test accuracy "
        "50.00%, 3 s",
        "epoch 250, update 1,000: train loss 2.5, test loss 2, averaged loss 0.75, train accuracy "
        "25.00%, test accuracy 50.00%, averaged accuracy 75.00%, 3 s",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_terminal_gets_a_table_of_what_fits(width):
    heading, *rows = printed(force_terminal=True, width=width)
    assert len(rows) == 2 and {len(line) for line in (heading, *rows)} == {len(heading)}
    assert len(heading) <= width and heading.strip().startswith("epoch")
    assert ("test accuracy" in heading) == (width >= 40)
    assert ("seconds" in heading) == (width == 200)
    assert ("averaged accuracy" in heading) == (width >= 80)


def test_without_an_average_there_is_no_column_for_it():
    assert "averaged" not in printed(has_average=False, force_terminal=True, width=200)[0]
