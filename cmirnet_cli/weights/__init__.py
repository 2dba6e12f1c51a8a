"""Weights folders, official checkpoints, ImageNet starting points."""
