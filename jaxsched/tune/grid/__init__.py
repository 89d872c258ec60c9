"""Grids of short runs: the runs, their ranking and their report."""
