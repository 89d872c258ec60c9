"""The scripts import each other by name, as Python finds them beside the one that is run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "experiments" / "gpu"))
