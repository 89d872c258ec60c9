"""One update: the state, metrics, micro-batches, batch-norm statistics and weight norms."""
