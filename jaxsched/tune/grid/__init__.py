"""Grids of short runs, their ranking and their report."""
