"""Whether the weight norm bounces, which tells whether ABEL is worth a run."""
