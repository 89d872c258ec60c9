"""Schedules that are constant between chosen times."""
