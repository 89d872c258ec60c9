"""The claims of all committed studies, recomputed from their records without jaxsched."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "experiments" / "reports" / "recompute.py"
QUICKSTART = ROOT / "experiments" / "results" / "quickstart"


@pytest.fixture(scope="module")
def recompute(load_experiment):
    return load_experiment("reports/recompute")


def test_all_committed_studies_claim_what_their_records_say():
    """In a process that cannot import jaxsched at all."""
    program = (
        "import runpy, sys; sys.modules['jaxsched'] = sys.modules['jax'] = None;"
        f"sys.argv = [{str(SCRIPT)!r}]; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    studies = list(SCRIPT.parents[1].glob("results/*/study.json"))
    assert len(done.stdout.splitlines()) == len(studies) > 10


@pytest.mark.parametrize(
    ("part", "key"), [("rows", "steps"), ("by_final", "p_corrected"), ("by_steps", "p_value")]
)
def test_a_claim_that_the_records_do_not_bear_is_named(recompute, tmp_path, capsys, part, key):
    folder = tmp_path / "quickstart"
    shutil.copytree(QUICKSTART, folder, ignore=shutil.ignore_patterns("*.png", "*.html"))
    summary = json.loads((folder / "summary.json").read_text())
    summary[part][1][key] *= 1.001
    (folder / "summary.json").write_text(json.dumps(summary))
    assert recompute.main([folder]) == 1
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 and f"{part}, {summary[part][1]['name']}, {key}: " in out[1]
