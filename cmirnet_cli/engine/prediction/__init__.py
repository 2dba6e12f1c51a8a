"""Masks for photographs of one's own: requests, queries, predictors, and the Python API."""

THRESHOLD = 0.5
"""Above this probability a pixel is in the mask, by default: it takes the likelier class."""
