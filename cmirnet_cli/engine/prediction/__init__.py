"""Masks for photographs of one's own: what is asked, in which forms, and the Python API."""
