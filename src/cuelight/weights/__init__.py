"""Weights: averages, copies and fingerprints; checkpoints that are written atomically, read safely, chosen by score."""
