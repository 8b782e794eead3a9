"""Samples, their order, augmentation, and loaders that can be resumed."""
