"""Targets: how each kind follows its image."""
