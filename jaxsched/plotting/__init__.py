"""Plots of schedules and of runs."""
