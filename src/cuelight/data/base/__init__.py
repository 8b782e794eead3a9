"""Shared by the dataset formats: data modules, files, splits, fingerprints."""
