"""A compiled experiment: its traced bodies, executables and memory limits."""
