"""A study: its experiments, targets, queue and runner."""
