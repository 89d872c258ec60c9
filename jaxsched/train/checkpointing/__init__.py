"""Checkpoints: when they are written, how, and how a run resumes from them."""
