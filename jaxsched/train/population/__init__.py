"""Several runs trained at once by one program."""
