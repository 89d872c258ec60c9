"""Networks of the user's own: modules of Flax as pure functions."""
