"""Optimizer specs, and the Optax chains that are built from them."""
