"""One update: its state, metrics, micro-batches and batch-norm statistics."""
