"""Masks to integer counts to `Scores`."""
