"""Measurements for docs/benchmarks.md that no user needs: each module is a program of its own."""
