"""js.plot draws a schedule's values, and loads Matplotlib only when it is called."""

import pathlib
import runpy
import subprocess
import sys

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest

import jaxsched as js


@pytest.fixture(autouse=True)
def no_windows():
    matplotlib.use("Agg")
    yield
    matplotlib.pyplot.close("all")


def test_the_line_is_the_schedule():
    ax = js.plot(js.MultiStep(1.0, (30, 60)), 90, unit="epochs")
    (line,) = ax.get_lines()
    times, values = line.get_data()
    expected = np.select([times < 30, times < 60], [1.0, 0.1], 0.01)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert ax.get_xlabel() == "epochs"
    assert ax.get_legend() is None


def test_several_schedules_share_the_given_axes():
    _, ax = matplotlib.pyplot.subplots()
    drawn = js.plot({"ours": js.Cosine(0.1, 9), "a lambda": lambda t: 1 / (1 + t)}, 9, ax=ax)
    assert drawn is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "a lambda"]


@pytest.mark.parametrize(("schedule", "duration"), [(js.Cosine(0.1, 9), 0), (0.1, 9)])
def test_impossible_arguments_are_refused(schedule, duration):
    with pytest.raises(ValueError, match="plot needs a"):
        js.plot(schedule, duration)


@pytest.mark.parametrize(
    ("experiment", "table"),
    [("reports/schedule_gallery", "PANELS"), ("performance/schedule_cost", "SCHEDULES")],
)
def test_the_gallery_and_the_cost_table_have_every_family(experiment, table):
    path = pathlib.Path(__file__).parents[2] / "experiments" / f"{experiment}.py"
    shown = " ".join(runpy.run_path(str(path))[table])
    families = {
        value.__name__ for value in vars(js.schedules).values() if isinstance(value, type)
    } - {"Schedule"}
    assert {family for family in families if family not in shown} == set()


def test_matplotlib_is_imported_only_to_draw():
    program = "import sys, jaxsched; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
