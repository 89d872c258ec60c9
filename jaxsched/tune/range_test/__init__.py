"""Range tests of experiments."""
