"""Kinds of targets, and how each is transformed with its image."""
