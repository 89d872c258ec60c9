"""Runs several experiments: one after another, one on each device, or several on one device."""
