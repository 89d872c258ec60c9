"""From a range test and grids to a 1cycle config."""
