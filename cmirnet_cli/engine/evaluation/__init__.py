"""Scoring a split, sentence by sentence."""
