"""Drawings: masks on photographs, contact sheets, charts."""
