"""Schedules that have no end: the length of the run may still change."""
