"""Masks for photographs of one's own: requests, queries, predictors, and the Python API."""
