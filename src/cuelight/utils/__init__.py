"""Helpers for files, signals, secrets and GPUs that need no other folder of the package."""
