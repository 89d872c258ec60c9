"""Loggers: what watches a run beside its record, such as TensorBoard. Imports no JAX."""
