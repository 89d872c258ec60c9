"""`js.fit`: trains a module and data of the user's own in one call."""
