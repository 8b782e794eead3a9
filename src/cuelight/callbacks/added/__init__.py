"""Callbacks that a run adds by itself; `cuelight plan` shows where."""
