"""Keypoints: boxes with named points."""
