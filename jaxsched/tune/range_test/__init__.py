"""Range tests of experiments: the learning rate raised update by update."""
