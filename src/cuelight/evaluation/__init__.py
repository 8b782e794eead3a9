"""Evaluation of a model with a trainer of its own, so that a running training is not changed."""
