"""Schedules of any other shape: a function, or a curve through points."""
