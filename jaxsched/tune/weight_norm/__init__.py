"""Does the weight norm bounce? The diagnosis that ABEL needs."""
