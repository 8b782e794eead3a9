"""Configurations of other programs, converted."""
