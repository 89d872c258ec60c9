"""Arithmetic that several schedules share."""
