"""Schedules that rise and fall, once or again and again, and the momentum beside them."""
