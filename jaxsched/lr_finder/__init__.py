"""Learning-rate range tests: their curves, and the learning rates that the curves suggest."""
