"""Use of what was trained: loading a run from its checkpoints, and starting others from it."""
