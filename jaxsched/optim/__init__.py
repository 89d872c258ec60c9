"""Optimizer specifications and the Optax chains that they build."""
