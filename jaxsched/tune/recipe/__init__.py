"""Recipes: a range test and grids of short runs that end in a 1cycle config."""
