"""A study's results as JSON."""

import dataclasses
import json
from pathlib import Path

from jaxsched.bench.report.results import Results
from jaxsched.output import write_text


def write_json(results: Results, path: Path) -> None:
    """Writes everything that is computed, unrounded: all fields of `Results` but the records."""
    content = {
        "study": results.manifest.name,
        "answer": results.answer,
        "target": results.target.value,
        "metric": dataclasses.asdict(results.metric),
        "origin": results.target.origin,
        "evaluate": results.manifest.evaluate,
        "rows": [dataclasses.asdict(summary) for summary in results.summaries],
        "baseline": results.manifest.baseline,
        "by_final": [dataclasses.asdict(comparison) for comparison in results.by_final],
        "by_steps": [dataclasses.asdict(comparison) for comparison in results.by_steps],
        "by_weights": {
            weights: [dataclasses.asdict(summary) for summary in summaries]
            for weights, summaries in results.by_weights.items()
        },
        "by_average": [dataclasses.asdict(comparison) for comparison in results.by_average],
        "significantly_better": {
            name: row["step"] for name, row in results.significantly_better.items()
        },
        "profile": None if results.profile is None else dataclasses.asdict(results.profile),
        "caveats": results.caveats,
    }
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
