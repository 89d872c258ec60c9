"""Schedules that fall over a known time, or rise over it: the length of the run is known."""
