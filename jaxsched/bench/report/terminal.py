"""A study's results for the terminal."""

from jaxsched.bench.report.results import Results
from jaxsched.bench.report.tables import summary_cells
from jaxsched.text_table import bullet_list, fitted_table, paragraph


def terminal_text(results: Results, width: int) -> str:
    """Returns the answer, the table of results and the caveats, for a terminal of this width.

    Args:
        results: the study's results.
        width: the terminal's width in characters; no name and no number is cut to it.
    """
    cells = summary_cells(results, intervals=False)  # for which a terminal is too narrow
    which = f"{results.which_counts[:1].upper()}{results.which_counts[1:]}."
    note = " ".join(text for text in (which if results.which_counts else "", cells.note) if text)
    parts = [
        paragraph(f"{results.manifest.name}: {results.answer}", width),
        fitted_table(cells.rows, width, prose=cells.prose),
        paragraph(note, width),
        bullet_list(results.caveats, width),
    ]
    return "\n\n".join(part for part in parts if part)
