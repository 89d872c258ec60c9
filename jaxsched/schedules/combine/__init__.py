"""Combinators: schedules that are made of others."""
