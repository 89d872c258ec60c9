"""Range tests: the curves of runs whose learning rate rises, and the rates that they suggest."""
