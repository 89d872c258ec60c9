"""The `jaxsched` command line: one file per command; the docstrings are the `--help` texts."""

from jaxsched.cli.main import main as main
