"""Runs the command line by `python -m jaxsched.cli`."""

import sys

from jaxsched.cli.main import main

sys.argv[0] = "jaxsched"  # as records name the command that made them
main()
