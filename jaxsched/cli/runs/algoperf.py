"""`jaxsched algoperf`: AlgoPerf's logs as studies, and the page of the competition."""

from rich.console import Console

from jaxsched.bench.algoperf import (
    read_measurements,
    read_studies,
    write_competition_page,
    write_studies,
)
from jaxsched.cli.commands.algoperf import Algoperf
from jaxsched.cli.paths import require_folder
from jaxsched.cli.printing import print_line, print_path
from jaxsched.text_table import fitted_table


def run(options: Algoperf, console: Console) -> None:
    """Runs the command."""
    require_folder(options.output)
    competition = read_measurements(options.measurements)
    print_line(
        f"{len(competition.trials):,} trials become records, which may take minutes", console
    )
    folders = write_studies(competition, options.output)
    page = options.output / "competition.html"
    standing = write_competition_page(competition, read_studies(competition, folders), page)
    scores = sorted(standing.profile.scores.items(), key=lambda entry: -entry[1])
    rows = [("submission", "score"), *((name, f"{score:.4f}") for name, score in scores)]
    print_line(fitted_table(rows, console.width), console)
    print(f"studies in {options.output}")
    print_path("page", page, console)
