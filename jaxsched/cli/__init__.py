"""The `jaxsched` command: thin, its help made from the docstrings of what it calls."""

from jaxsched.cli.main import main as main
