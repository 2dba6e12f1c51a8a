"""Drawings: masks on photographs, and charts."""
