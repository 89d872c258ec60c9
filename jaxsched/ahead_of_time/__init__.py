"""Programs compiled for a machine that is not here, and what can be read off them."""
