"""Callbacks that a run adds by itself; ``cuelight plan`` lists them."""
