"""Samples, their order, augmentation, and resumable loaders."""
