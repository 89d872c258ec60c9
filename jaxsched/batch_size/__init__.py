"""Batch sizes that change during a run: the noise scale, trades, and growth while training."""
