"""The commands as a user gives them: a class each, whose docstring and fields are its `--help`.

What a command does is in the file of the same name in `jaxsched.cli.runs`, which imports JAX and
the trainer. Nothing here does, so that help and wrong command lines are answered at once.
"""
