"""The commands' work: a file each with `run`, which takes the options that a user gave."""
