"""The README's Python runs as it stands there, and what it points to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs(capsys):
    namespace = {}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 8
    for block in blocks:
        exec(block, namespace)
    printed = capsys.readouterr().out
    assert "learning_rate" in printed
    # What stands below a block that prints is what it prints.
    assert all(text in printed for text in re.findall(r"```text\n(.*?)```", README, re.DOTALL))
    assert float(namespace["lr"](30)) == pytest.approx(0.02)
    assert float(namespace["rate"](170)) == pytest.approx(0.032)


def test_every_file_that_the_readme_names_exists():
    named = re.findall(r"\]\(([^)#]+)\)|`((?:jaxsched|configs|experiments|tests)/[^` ]*)`", README)
    paths = [link or path for link, path in named]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
