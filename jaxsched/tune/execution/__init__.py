"""Runs several experiments: in turn, one a device, or side by side."""
