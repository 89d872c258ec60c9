"""Reports fit any terminal, and lose no name and no number."""

import pytest

from jaxsched.tune.report import Report

NAMES = ["optimizer.schedules.momentum.high", "weight decay"]
ROWS = [
    [*NAMES, "loss", "accuracy, %", "n"],
    ["0.95", "1e-4", "0.1234 ± 0.0123", "96.71 ± 0.42", "3"],
    ["0.99", "1e-5", "2 diverged", "93.1 (n=1)", "3"],
]
STATEMENT = "Best: optimizer.schedules.momentum.high 0.95, with loss 0.1234 ± 0.0123 (n=3)."


@pytest.mark.parametrize("width", [40, 80, 120])
def test_it_fits_and_keeps_names_and_numbers_whole(width):
    text = Report("a_long_name: validation loss", ROWS, [STATEMENT], num_values=2).text(width)
    assert max(map(len, text.splitlines())) <= max(
        width, len("optimizer.schedules.momentum.high 0.95, weight decay 1e-4")
    )
    words = set(text.replace(",", "").split())
    cells = [cell for row in ROWS[1:] for cell in row] + NAMES
    assert {word for cell in cells for word in cell.split()} <= words and "…" not in text


def test_each_value_stands_after_its_name_in_a_terminal_and_in_its_column_in_markdown():
    report = Report("a", ROWS, [STATEMENT], num_values=2)
    assert "optimizer.schedules.momentum.high 0.95, weight decay 1e-4" in report.text(80)
    assert "| 0.95 | 1e-4 | 0.1234 ± 0.0123 |" in report.markdown
    assert f"- {STATEMENT}" in report.markdown
    assert Report("a", [], ["None."]).markdown == "a\n\n- None.\n"
